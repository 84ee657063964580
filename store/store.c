/* SPDX-License-Identifier: MIT */
/* The handle that readers and writers share: its life, SQLite's errors, the meta values. */
#include "handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int store_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_TOOBIG:
	case SQLITE_ERROR: /* all our SQL is valid on our schema: the file has another */
		return -EBADMSG;
	default:
		return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	}
}

int store_exec(sqlite3 *db, const char *sql)
{
	return store_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

struct store *store_new(sqlite3 *db, const char *path)
{
	struct store *s = calloc(1, sizeof(*s));
	char *copy = strdup(path);

	if (!s || !copy) {
		free(s);
		free(copy);
		sqlite3_close(db);
		return NULL;
	}
	s->db = db;
	s->unpublished.fd = -1;
	s->path = copy;
	return s;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(s->put[i]);
	sqlite3_close(s->db);
	if (s->unpublished.name) /* it may lie there when it could not be published */
		unlink(s->unpublished.name);
	if (s->unpublished.fd >= 0)
		close(s->unpublished.fd);
	free(s->unpublished.name);
	free(s->path);
	free(s);
	return NULL;
}

const char *store_meta_get(struct store *s, const char *key)
{
	sqlite3_stmt *st = NULL;
	const char *value = NULL;

	if (sqlite3_prepare_v2(s->db, "SELECT value FROM meta WHERE key = ?", -1, &st, NULL))
		return NULL;
	if (!sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) && sqlite3_step(st) == SQLITE_ROW)
		value = (const char *)sqlite3_column_text(st, 0);
	if (value && strlen(value) <= STORE_TEXT_MAX)
		value = strcpy(s->value, value);
	else
		value = NULL;
	sqlite3_finalize(st);
	return value;
}

int64_t store_meta_get_int(struct store *s, const char *key, int64_t fallback)
{
	const char *text = store_meta_get(s, key);
	char *end;

	if (!text || !*text)
		return fallback;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	return errno || *end ? fallback : v;
}
