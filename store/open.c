/* SPDX-License-Identifier: MIT */
/*
 * Opening a capture that somebody else may have crafted. What it is gets read from its first bytes;
 * only then SQLite sees it, with everything off that could run or write; its schema must be ours to
 * the letter (of an older one: once it is migrated, in a copy) and its pages must be sound. Nothing
 * is written, created or removed: a capture without a -wal is opened as immutable, one that was cut
 * off with a WAL index on the heap.
 */
#include "handle.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define HEADER_SIZE 100 /* of an SQLite file */
/* SQLite's lock bytes: a connection to a WAL database holds a shared lock there all its life */
#define LOCK_START  0x40000002
#define LOCK_LENGTH 510

/* How a capture can be looked at without changing it. */
enum access {
	ACCESS_IMMUTABLE, /* no -wal: one plain file */
	ACCESS_CUT_OFF,	  /* a -wal and nobody at it */
	ACCESS_LIVE,	  /* somebody writes it: take part in SQLite's locking */
};

/* Whether the file ends before the pages do that its header counts. SQLite's file format, 1.3. */
static bool is_truncated(const unsigned char header[HEADER_SIZE], off_t size, uint64_t *ret_whole)
{
	uint64_t page = (uint64_t)header[16] << 8 | header[17];
	uint64_t pages =
		(uint64_t)header[28] << 24 | header[29] << 16 | header[30] << 8 | header[31];

	if (page == 1)
		page = 65536;
	*ret_whole = page * pages;
	return (uint64_t)size < *ret_whole;
}

/* Checks that path is a capture's file and finds out how to open it. */
static int probe(const char *path, const char *real, enum access *ret_access, struct lsc_err *err)
{
	unsigned char header[HEADER_SIZE];
	char wal[PATH_MAX + 8];
	struct stat st;
	struct flock lock = {.l_type = F_WRLCK, .l_start = LOCK_START, .l_len = LOCK_LENGTH};
	lsc_autoclose int fd = open(real, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return lsc_err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || pread(fd, header, HEADER_SIZE, 0) != HEADER_SIZE ||
	    memcmp(header, "SQLite format 3", 16) != 0)
		return lsc_err_set(err, -EBADMSG, "'%s' is not a loopscope capture", path);
	const unsigned char *id = header + STORE_APPLICATION_OFFSET;
	if (((uint32_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]) != STORE_APPLICATION_ID)
		return lsc_err_set(err, -EBADMSG, "'%s' is not a loopscope capture", path);

	off_t size = st.st_size;
	uint64_t whole;
	snprintf(wal, sizeof(wal), "%s-wal", real);
	if (stat(wal, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		*ret_access = ACCESS_IMMUTABLE;
	else if (!fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK)
		*ret_access = ACCESS_LIVE;
	else
		*ret_access = ACCESS_CUT_OFF;
	/* a writer that was killed may have left the pages in the -wal */
	if (*ret_access == ACCESS_IMMUTABLE && is_truncated(header, size, &whole))
		return lsc_err_set(err, -EBADMSG,
				   "'%s' is truncated: it has %llu of %llu bytes; copy it again",
				   path, (unsigned long long)size, (unsigned long long)whole);
	return 0;
}

/* "file:" + path, escaped, + "?immutable=1". Gives the string. */
static char *immutable_uri(const char *path)
{
	char *uri = malloc(3 * strlen(path) + 32), *to = uri;

	if (!uri)
		return NULL;
	to += sprintf(to, "file:");
	for (; *path; path++) {
		if (isalnum((unsigned char)*path) || strchr("/._-", *path))
			*to++ = *path;
		else
			to += sprintf(to, "%%%02x", (unsigned char)*path);
	}
	strcpy(to, "?immutable=1");
	return uri;
}

static void restrain(sqlite3 *db)
{
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
	sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 1 << 16);
	sqlite3_limit(db, SQLITE_LIMIT_COLUMN, 100);
	sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 50);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
	sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
}

static int open_database(const char *real, enum access access, sqlite3 **ret_db)
{
	lsc_autofree char *uri = access == ACCESS_IMMUTABLE ? immutable_uri(real) : NULL;
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	sqlite3 *db;

	if (access == ACCESS_IMMUTABLE && !uri)
		return -ENOMEM;
	int r = store_errno(uri ? sqlite3_open_v2(uri, &db, flags | SQLITE_OPEN_URI, NULL)
				: sqlite3_open_v2(real, &db, flags,
						  access == ACCESS_CUT_OFF ? "unix-none" : NULL));
	if (!r) {
		restrain(db);
		r = store_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
	}
	/* exclusive before the first read: then SQLite keeps the WAL index on the heap, without
	 * -shm */
	if (!r && access == ACCESS_CUT_OFF)
		r = store_exec(db, "PRAGMA locking_mode = EXCLUSIVE");
	if (!r && access == ACCESS_LIVE)
		r = store_exec(db, "PRAGMA busy_timeout = 1000");
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

/* A text that quotes the file, without its control characters. */
static void copy_line(char *buf, size_t size, const char *text)
{
	snprintf(buf, size, "%s", text);
	for (; *buf; buf++)
		if (iscntrl((unsigned char)*buf))
			*buf = ' ';
}

/* The single value of a statement as text in buf. 0 or -errno. */
static int get_value(sqlite3 *db, const char *sql, char *buf, size_t size)
{
	sqlite3_stmt *st;
	int r = store_errno(sqlite3_prepare_v2(db, sql, -1, &st, NULL));

	if (r < 0)
		return r;
	int rc = sqlite3_step(st);
	const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (text)
		copy_line(buf, size, text);
	else
		r = rc == SQLITE_ROW ? -ENOMEM : rc == SQLITE_DONE ? -EBADMSG : store_errno(rc);
	sqlite3_finalize(st);
	return r;
}

static bool same_text(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
	const char *x = (const char *)sqlite3_column_text(a, column);
	const char *y = (const char *)sqlite3_column_text(b, column);

	return x && y ? !strcmp(x, y) : x == y;
}

/* 1 when both databases have the same tables and views, to the letter. */
static int same_schema(sqlite3 *a, sqlite3 *b)
{
	static const char sql[] =
		"SELECT name, type, tbl_name, sql FROM sqlite_schema ORDER BY name, type";
	sqlite3_stmt *in_a = NULL, *in_b = NULL;
	int rc_a = SQLITE_ROW, rc_b = SQLITE_ROW;
	bool same = true;
	int r = store_errno(sqlite3_prepare_v2(a, sql, -1, &in_a, NULL));

	if (!r)
		r = store_errno(sqlite3_prepare_v2(b, sql, -1, &in_b, NULL));
	while (!r && same && rc_a == SQLITE_ROW) {
		rc_a = sqlite3_step(in_a);
		rc_b = sqlite3_step(in_b);
		r = store_errno(rc_a) ? store_errno(rc_a) : store_errno(rc_b);
		same = rc_a == rc_b;
		for (int i = 0; i < 4 && same && rc_a == SQLITE_ROW; i++)
			same = same_text(in_a, in_b, i);
	}
	sqlite3_finalize(in_a);
	sqlite3_finalize(in_b);
	return r < 0 ? r : same;
}

/* What turns a capture of the version before into one of this version. */
static const char *const migrations[STORE_VERSION + 1] = {
	[2] = migration_2_sql, [3] = migration_3_sql};

/* Puts a copy of a capture of that version, migrated, in the place of *db: in a temporary database,
 * which SQLite keeps in memory and moves to an unnamed file when it grows. The statements only
 * create what the schema lacked, so nothing that the file holds is evaluated before
 * has_our_schema() has seen it. */
static int migrate(sqlite3 **db, int version)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	sqlite3 *copy;
	int r = store_errno(sqlite3_open_v2("", &copy, flags, NULL));

	if (!r) {
		sqlite3_backup *backup = sqlite3_backup_init(copy, "main", *db, "main");
		int rc = backup ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(copy);

		sqlite3_backup_finish(backup);
		r = rc == SQLITE_DONE ? 0 : store_errno(rc) ? store_errno(rc) : -EIO;
	}
	if (!r)
		restrain(copy);
	for (int v = version + 1; !r && v <= STORE_VERSION; v++) {
		r = store_exec(copy, migrations[v]);
		if (r ==
		    -EBADMSG) { /* it has what its version lacks: has_our_schema() will say so */
			r = 0;
			break;
		}
	}
	if (!r)
		r = store_exec(copy, "PRAGMA query_only = ON");
	if (r < 0) {
		sqlite3_close(copy);
		return r;
	}
	sqlite3_close(*db);
	*db = copy;
	return 0;
}

static int has_our_schema(sqlite3 *db)
{
	sqlite3 *fresh;
	int r = store_errno(sqlite3_open_v2(":memory:", &fresh,
					    SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL));

	if (!r)
		r = store_exec(fresh, schema_sql);
	if (!r)
		r = same_schema(db, fresh);
	sqlite3_close(fresh);
	return r;
}

/* *db becomes the migrated copy of an older capture. */
static int check(sqlite3 **db, const char *path, struct lsc_err *err)
{
	char text[160] = "";
	int r = get_value(*db, "PRAGMA user_version", text, sizeof(text));
	int version = atoi(text);

	if (!r && version > STORE_VERSION)
		return lsc_err_set(err, -EPROTO,
				   "'%s' was written by a newer loopscope (schema %d, this one "
				   "reads up to %d)",
				   path, version, STORE_VERSION);
	if (!r && version < 1)
		return lsc_err_set(err, -EBADMSG, "'%s' is damaged: it has no schema version",
				   path);
	if (!r && version < STORE_VERSION)
		r = migrate(db, version);
	if (!r)
		r = has_our_schema(*db);
	if (!r)
		return lsc_err_set(err, -EBADMSG,
				   "'%s' is damaged: its tables are not those of schema %d", path,
				   version);
	if (r > 0)
		r = get_value(*db, "PRAGMA quick_check(1)", text, sizeof(text));
	if (!r && strcmp(text, "ok") != 0)
		return lsc_err_set(err, -EBADMSG, "'%s' is damaged: %s", path, text);
	if (r == -EBADMSG) {
		copy_line(text, sizeof(text), sqlite3_errmsg(*db));
		return lsc_err_set(err, r, "'%s' is damaged: %s", path, text);
	}
	if (r < 0)
		return lsc_err_set(err, r, "cannot read '%s': %s", path, strerror(-r));
	return 0;
}

int store_open(const char *path, struct store **ret_store, struct lsc_err *err)
{
	/* SQLite too looks for the -wal beside the file that a symbolic link leads to */
	lsc_autofree char *real = realpath(path, NULL);
	enum access access;
	sqlite3 *db;

	if (!real)
		return lsc_err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	int r = probe(path, real, &access, err);
	if (r < 0)
		return r;
	r = open_database(real, access, &db);
	if (r == -EBADMSG)
		return lsc_err_set(err, r, "'%s' is damaged: it cannot be read", path);
	if (r < 0)
		return lsc_err_set(err, r, "cannot open '%s': %s", path, strerror(-r));
	r = check(&db, path, err);
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	struct store *s = store_new(db, path);
	if (!s)
		return lsc_err_set(err, -ENOMEM, "cannot open '%s': out of memory", path);
	s->live = access == ACCESS_LIVE;
	*ret_store = s;
	return 0;
}

bool store_is_live(const struct store *s)
{
	return s->live;
}
