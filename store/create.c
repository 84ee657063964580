/* SPDX-License-Identifier: MIT */
/*
 * The first and the last moments of a capture that is being written. The new file is complete
 * (schema, owner, mode) before it appears under its name, by an atomic rename; what it replaces is
 * set aside and comes back when the rest of the creation fails. Then the capture grows in WAL mode
 * under its own name, so that a killed writer leaves a capture that opens.
 */
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FINISH_TRIES	50
#define FINISH_PAUSE_US 20000

#define DIGITS(number)	DIGITS_(number)
#define DIGITS_(number) #number

static const char *const companions[] = {"-wal", "-shm", "-journal"};

/* Moves or (to == NULL) removes the files that SQLite keeps beside path. */
static int move_companions(const char *path, const char *to)
{
	char from_name[PATH_MAX + 16], to_name[PATH_MAX + 16];

	for (size_t i = 0; i < LSC_ARRAY_LEN(companions); i++) {
		snprintf(from_name, sizeof(from_name), "%s%s", path, companions[i]);
		if (to)
			snprintf(to_name, sizeof(to_name), "%s%s", to, companions[i]);
		if ((to ? rename(from_name, to_name) : unlink(from_name)) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static void remove_capture(const char *path)
{
	unlink(path);
	move_companions(path, NULL);
}

/* Creates an empty file of a new name beside path, with its final owner and mode. */
static int create_empty(const char *path, const struct store_create_options *o, char tmp[PATH_MAX],
			struct stat *ret_stat)
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	if (snprintf(tmp, PATH_MAX, "%s.%08x.new", path, random) >= PATH_MAX)
		return -ENAMETOOLONG;
	lsc_autoclose int fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (((o->owner != (uid_t)-1 || o->group != (gid_t)-1) && fchown(fd, o->owner, o->group)) ||
	    fchmod(fd, o->mode ? o->mode : 0640) || fstat(fd, ret_stat)) {
		int r = -errno;
		unlink(tmp);
		return r;
	}
	return 0;
}

/* Opens path for writing and proves that it is the file that was created: the directory may belong
 * to somebody else. */
static int open_created(const char *path, const struct stat *created, sqlite3 **ret_db)
{
	sqlite3 *db;
	struct stat now;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
	int r = store_errno(sqlite3_open_v2(path, &db, flags, NULL));

	if (!r && lstat(path, &now))
		r = -errno;
	if (!r && (now.st_dev != created->st_dev || now.st_ino != created->st_ino))
		r = -EEXIST;
	if (r) {
		sqlite3_close(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

static int put_causes(sqlite3 *db)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db, "INSERT INTO cause VALUES(?, ?)", -1, &st, NULL);

	for (int i = 0; rc == SQLITE_OK && i < LSC_CAUSE_COUNT; i++) {
		sqlite3_bind_int(st, 1, i);
		sqlite3_bind_text(st, 2, lsc_cause_name(i), -1, SQLITE_STATIC);
		rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
		sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	return store_errno(rc);
}

static int write_schema(const char *path, const struct stat *created)
{
	sqlite3 *db;
	int r = open_created(path, created, &db);

	if (r < 0)
		return r;
	/* the file has no readers and no name that anybody knows: no journal needed */
	r = store_exec(db, "PRAGMA page_size = " DIGITS(
				   STORE_PAGE_SIZE) "; PRAGMA journal_mode = OFF; BEGIN");
	if (!r)
		r = store_exec(db, schema_sql);
	if (!r)
		r = put_causes(db);
	if (!r)
		r = store_exec(db, "COMMIT");
	sqlite3_close(db);
	return r;
}

/* A mistyped name must not cost a file that is something else: captures and empty files only. */
static bool is_replaceable(const char *path)
{
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t id[4] = {0};

	if (fd < 0)
		return false;
	ssize_t n = pread(fd, id, sizeof(id), STORE_APPLICATION_OFFSET);
	return lseek(fd, 0, SEEK_END) == 0 ||
	       (n == sizeof(id) &&
		((uint32_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]) == STORE_APPLICATION_ID);
}

/* Gives the complete file at tmp its name. On return 1 the old capture lies at tmp instead, on 0
 * there was none. */
static int install(const char *tmp, const char *path, bool overwrite)
{
	struct stat old;

	if (overwrite && !lstat(path, &old)) {
		if (!S_ISREG(old.st_mode))
			return S_ISLNK(old.st_mode)   ? -ELOOP
			       : S_ISDIR(old.st_mode) ? -EISDIR
						      : -EEXIST;
		if (!is_replaceable(path))
			return -EBADMSG;
		if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE))
			return -errno;
		return 1;
	}
	return renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) ? -errno : 0;
}

/* A stale -wal under the new name would be played into the new file. */
static int clear_companions(const char *path, const char *tmp, bool replaced)
{
	char name[PATH_MAX + 16];
	struct stat st;

	if (replaced)
		return move_companions(path, tmp);
	for (size_t i = 0; i < LSC_ARRAY_LEN(companions); i++) {
		snprintf(name, sizeof(name), "%s%s", path, companions[i]);
		if (!lstat(name, &st))
			return -EEXIST;
	}
	return 0;
}

static int start_wal(sqlite3 *db, const char *path, const struct stat *created)
{
	char name[PATH_MAX + 16];
	struct stat st;
	int r = store_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
			       "BEGIN IMMEDIATE; COMMIT");

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s-wal", path);
	if (lstat(name, &st))
		return -errno;
	/* SQLite takes a -wal that lies there: refuse one that somebody else put */
	return S_ISREG(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == created->st_uid)
		       ? 0
		       : -EEXIST;
}

static int create(const char *path, const struct store_create_options *o, sqlite3 **ret_db)
{
	char tmp[PATH_MAX];
	struct stat created;
	sqlite3 *db = NULL;
	int r = create_empty(path, o, tmp, &created), replaced;

	if (r < 0)
		return r;
	r = write_schema(tmp, &created);
	if (r < 0)
		goto remove_tmp;
	r = replaced = install(tmp, path, o->overwrite);
	if (r < 0)
		goto remove_tmp;
	r = clear_companions(path, tmp, replaced);
	if (r < 0)
		goto put_back;
	r = open_created(path, &created, &db);
	if (!r)
		r = start_wal(db, path, &created);
	if (r < 0) {
		sqlite3_close(db);
		move_companions(path, NULL);
		goto put_back;
	}
	if (replaced)
		remove_capture(tmp);
	*ret_db = db;
	return 0;

put_back:
	if (replaced) {
		renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE);
		move_companions(tmp, path);
	} else {
		unlink(path);
	}
remove_tmp:
	unlink(tmp);
	return r;
}

int store_create(const char *path, const struct store_create_options *options,
		 struct store **ret_store, struct lsc_err *err)
{
	char name[PATH_MAX]; /* never one that SQLite takes for something else, as ":memory:" */
	sqlite3 *db = NULL;
	int r = -ENAMETOOLONG;

	if (snprintf(name, sizeof(name), "%s%s", *path == '/' ? "" : "./", path) < PATH_MAX)
		r = create(name, options, &db);
	if (r == -EEXIST)
		return lsc_err_set(err, r, "'%s' exists", path);
	if (r == -EBADMSG)
		return lsc_err_set(err, r, "'%s' exists and is no capture: name another file",
				   path);
	if (r == -ELOOP)
		return lsc_err_set(err, r, "'%s' is a symbolic link", path);
	if (r < 0)
		return lsc_err_set(err, r, "cannot create '%s': %s", path, strerror(-r));

	struct store *s = store_new(db, path);
	if (!s) {
		remove_capture(name);
		return lsc_err_set(err, -ENOMEM, "cannot create '%s': out of memory", path);
	}
	s->writable = true;
	s->max_bytes = options->max_bytes;
	*ret_store = s;
	return 0;
}

int store_finish(struct store *s, struct lsc_err *err)
{
	int r = store_commit(s);

	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(s->put[i]);
		s->put[i] = NULL;
	}
	/* Leaving WAL does not call the busy handler: a reader that is about to go is waited for
	 * here. */
	for (int tries = 0; !r; tries++) {
		r = store_exec(s->db,
			       "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
		if (r != -EBUSY || tries == FINISH_TRIES)
			break;
		usleep(FINISH_PAUSE_US);
		r = 0;
	}
	if (r == -EBUSY)
		lsc_err_set(err, r, "'%s' is complete, but somebody reads it: its -wal stays",
			    s->path);
	else if (r < 0 && sqlite3_extended_errcode(s->db) == SQLITE_READONLY_DBMOVED)
		lsc_err_set(err, r, "'%s' was removed or replaced while it was written", s->path);
	else if (r < 0)
		lsc_err_set(err, r, "cannot finish '%s': %s", s->path, strerror(-r));
	store_close(s);
	return r;
}
