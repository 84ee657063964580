/* SPDX-License-Identifier: MIT */
/*
 * The first and the last moments of a capture that is being written. It begins in memory, beside a
 * file without a name, which proves that there is a place for it and which a killed writer leaves
 * nothing of. When it is published it is written there and takes its name in one step: what it
 * replaces stays until then, and comes back when the rest of that fails. Then it grows in WAL mode
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

#define LOCK_BYTES_AT 0x40000000 /* where SQLite locks a database */
#define LOCK_BYTES    512

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

/* An empty file in the directory of path, without a name; where the file system has none such, of
 * the name tmp. */
static int create_nameless(const char *path, const char *tmp, bool *ret_named)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path + 1), path);
	*ret_named = false;
	int fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd < 0 ? -errno : fd;
	*ret_named = true;
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* Creates an empty file beside path, with its final owner and mode, and a name for it. */
static int create_empty(const char *path, const struct store_create_options *o,
			struct unpublished *u)
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	if (asprintf(&u->name, "%s.%08x.new", path, random) < 0) {
		u->name = NULL;
		return -ENOMEM;
	}
	u->fd = create_nameless(path, u->name, &u->named);
	if (u->fd < 0)
		return u->fd;
	if (((o->owner != (uid_t)-1 || o->group != (gid_t)-1) &&
	     fchown(u->fd, o->owner, o->group)) ||
	    fchmod(u->fd, o->mode ? o->mode : 0640) || fstat(u->fd, &u->created))
		return -errno;
	return 0;
}

/* The whole database into the file. */
static int write_image(sqlite3 *db, int fd)
{
	sqlite3_int64 size = 0;
	unsigned char *image = sqlite3_serialize(db, "main", &size, 0);
	int r = image ? 0 : -ENOMEM;

	for (sqlite3_int64 at = 0; !r && at < size;) {
		ssize_t n = pwrite(fd, image + at, (size_t)(size - at), at);
		if (n < 0 && errno != EINTR) /* -EFBIG is that of our own bound */
			r = errno == EFBIG ? -EDQUOT : -errno;
		else if (n > 0)
			at += n;
	}
	sqlite3_free(image);
	return r;
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

static int write_schema(sqlite3 *db)
{
	int r = store_exec(db, "PRAGMA page_size = " DIGITS(STORE_PAGE_SIZE) "; BEGIN");

	if (!r)
		r = store_exec(db, schema_sql);
	if (!r)
		r = put_causes(db);
	if (!r)
		r = store_exec(db, "COMMIT");
	return r;
}

/* A mistyped name must not cost a file that is something else: captures and empty files only. Nor
 * one that another process is writing: while it does it holds a lock of SQLite's, as do those that
 * look on, and nobody else. */
static int check_replaceable(const char *path)
{
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = LOCK_BYTES_AT,
			     .l_len = LOCK_BYTES};
	uint8_t id[4] = {0};

	if (fd < 0)
		return -EBADMSG;
	ssize_t n = pread(fd, id, sizeof(id), STORE_APPLICATION_OFFSET);
	if (lseek(fd, 0, SEEK_END) != 0 &&
	    (n != sizeof(id) ||
	     ((uint32_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]) != STORE_APPLICATION_ID))
		return -EBADMSG;
	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? -ETXTBSY : 0;
}

/* Whether a file lies there that SQLite kept beside path; its name. */
static bool find_companion(const char *path, char ret_name[PATH_MAX + 16])
{
	struct stat st;

	for (size_t i = 0; i < LSC_ARRAY_LEN(companions); i++) {
		snprintf(ret_name, PATH_MAX + 16, "%s%s", path, companions[i]);
		if (!lstat(ret_name, &st))
			return true;
	}
	return false;
}

/* Whether a capture may take this place: 1 in that of another, 0 of nothing, or -errno. */
static int look_at_place(const char *path, bool overwrite)
{
	char name[PATH_MAX + 16];
	struct stat st;

	if (!lstat(path, &st)) {
		if (!overwrite)
			return -EEXIST;
		if (!S_ISREG(st.st_mode))
			return S_ISLNK(st.st_mode)   ? -ELOOP
			       : S_ISDIR(st.st_mode) ? -EISDIR
						     : -EBADMSG;
		int r = check_replaceable(path);
		return r < 0 ? r : 1;
	}
	/* a stale -wal would be played into the new file */
	return find_companion(path, name) ? -EEXIST : 0;
}

/* Undoes install(). */
static void put_back(const char *tmp, const char *path, bool replaced)
{
	if (replaced) {
		renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE);
		move_companions(tmp, path);
	} else {
		rename(path, tmp);
	}
}

/* The file without a name gets one, which nothing has. */
static int give_name(const struct unpublished *u, const char *path)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", u->fd);
	return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* Gives the complete file its name. On return 1 the old capture lies at u->name instead, on 0 there
 * was none. */
static int install(const struct unpublished *u, const char *path, bool overwrite)
{
	const char *tmp = u->name;
	int replaced = look_at_place(path, overwrite);

	if (replaced < 0 || (!u->named && !replaced))
		return replaced < 0 ? replaced : give_name(u, path);
	int named = u->named ? 0 : give_name(u, tmp);
	if (named < 0)
		return named;
	if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, replaced ? RENAME_EXCHANGE : RENAME_NOREPLACE))
		return -errno;
	int r = replaced ? move_companions(path, tmp) : 0;
	if (r < 0) {
		put_back(tmp, path, replaced);
		return r;
	}
	return replaced;
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

/* As SQLite never takes it for something else, as ":memory:". */
static int file_name(const char *path, char name[PATH_MAX])
{
	return snprintf(name, PATH_MAX, "%s%s", *path == '/' ? "" : "./", path) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

static int refuse(const char *path, int r, struct lsc_err *err)
{
	char name[PATH_MAX + 16];
	struct stat st;

	if (r == -EEXIST && lstat(path, &st) && find_companion(path, name))
		return lsc_err_set(err, r,
				   "'%s' exists, though its capture is gone: remove it, or name "
				   "another file",
				   name);
	if (r == -EEXIST)
		return lsc_err_set(err, r, "'%s' exists", path);
	if (r == -EBADMSG)
		return lsc_err_set(err, r, "'%s' exists and is no capture: name another file",
				   path);
	if (r == -ETXTBSY)
		return lsc_err_set(err, r,
				   "'%s' is being written by another loopscope: name another file",
				   path);
	if (r == -ELOOP)
		return lsc_err_set(err, r, "'%s' is a symbolic link", path);
	return lsc_err_set(err, r, "cannot create '%s': %s", path, strerror(-r));
}

static int create(const char *name, const struct store_create_options *o, struct unpublished *u,
		  sqlite3 *db)
{
	int r = look_at_place(name, o->overwrite);

	if (r >= 0)
		r = create_empty(name, o, u);
	if (r >= 0)
		r = write_schema(db);
	return r < 0 ? r : write_image(db, u->fd); /* there is room for that much */
}

int store_create(const char *path, const struct store_create_options *options,
		 struct store **ret_store, struct lsc_err *err)
{
	char name[PATH_MAX];
	sqlite3 *db = NULL;
	int r = file_name(path, name);

	if (r >= 0)
		r = store_errno(sqlite3_open_v2(":memory:", &db,
						SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
	if (r < 0) {
		sqlite3_close(db);
		return refuse(path, r, err);
	}
	struct store *s = store_new(db, path);
	if (!s)
		return refuse(path, -ENOMEM, err);
	r = create(name, options, &s->unpublished, db);
	if (r < 0) {
		store_close(s);
		return refuse(path, r, err);
	}
	s->overwrite = options->overwrite;
	s->writable = true;
	s->max_bytes = options->max_bytes;
	*ret_store = s;
	return 0;
}

bool store_is_published(const struct store *s)
{
	return !s->unpublished.name;
}

static void finalize_all(struct store *s)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(s->put[i]);
		s->put[i] = NULL;
	}
}

/* On failure the old capture, if there was one, has its name again. */
static int publish(struct store *s, const char *name)
{
	struct unpublished *u = &s->unpublished;
	int r = store_commit(s);

	finalize_all(s);
	if (!r)
		r = write_image(s->db, u->fd);
	sqlite3_close(LSC_TAKE(s->db));
	int replaced = r < 0 ? r : install(u, name, s->overwrite);
	/* before SQLite locks the file: closing any descriptor of it drops the locks */
	close(u->fd);
	u->fd = -1;
	if (replaced < 0)
		return replaced;
	r = open_created(name, &u->created, &s->db);
	if (r >= 0)
		r = start_wal(s->db, name, &u->created);
	if (r < 0) {
		sqlite3_close(LSC_TAKE(s->db));
		move_companions(name, NULL);
		put_back(u->name, name, replaced);
		return r;
	}
	if (replaced)
		remove_capture(u->name);
	free(LSC_TAKE(u->name));
	return 0;
}

int store_publish(struct store *s, struct lsc_err *err)
{
	char name[PATH_MAX];

	if (!s->unpublished.name)
		return 0;
	int r = s->db ? file_name(s->path, name) : s->broken;
	if (r >= 0)
		r = publish(s, name);
	if (r >= 0)
		return 0;
	s->broken = r;
	return refuse(s->path, r, err);
}

int store_finish(struct store *s, struct lsc_err *err)
{
	int r = store_publish(s, err);

	if (r < 0) {
		store_close(s);
		return r;
	}
	r = store_commit(s);
	finalize_all(s);
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
