/* SPDX-License-Identifier: MIT */
/*
 * See put.h. One prepared statement per table, bound parameters only, one transaction from commit
 * to commit. The size bound is looked at before a row is put, because SQLite answers a full file by
 * undoing the whole transaction. When it does so all the same (disk full, I/O error), the store
 * says so until the next commit: everything put since the last one is void.
 */
#include "put.h"

#include <errno.h>
#include <string.h>

#define COUNT_MAX                                                                                  \
	(INT64_MAX / 2) /* of a number that is added to: a sum above 2^63 is no integer in SQL */

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_PAGES] = "PRAGMA page_count",
	[STATEMENT_META] = "INSERT OR REPLACE INTO meta VALUES(?,?)",
	[STATEMENT_TARGET] = "INSERT OR REPLACE INTO target VALUES(?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_LOOP] =
		"INSERT OR REPLACE INTO loop VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_TASK] =
		"INSERT OR REPLACE INTO task VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_STALL] = "INSERT OR REPLACE INTO stall VALUES(?,?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_STALL_SPLIT_CLEAR] = "DELETE FROM stall_split WHERE stall = ?",
	[STATEMENT_STALL_SPLIT] = "INSERT INTO stall_split VALUES(?,?,?)",
	[STATEMENT_CULPRIT] = "INSERT OR REPLACE INTO culprit VALUES(?,?,?)",
	[STATEMENT_BLOCK] = "INSERT OR REPLACE INTO block"
			    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_SAMPLE] = "INSERT INTO sample VALUES(NULL,?,?,?,?,?,?,?)",
	[STATEMENT_WAIT] = "INSERT OR REPLACE INTO wait VALUES(?,?,?,?,?,?,?,?,?)",
	[STATEMENT_STACK] = "INSERT OR REPLACE INTO stack VALUES(?,?)",
	[STATEMENT_FRAME_CLEAR] = "DELETE FROM frame WHERE stack = ?",
	[STATEMENT_FRAME] = "INSERT INTO frame VALUES(?,?,?,?,?,?,?,?,?,?)",
	[STATEMENT_CHUNK] = "INSERT OR REPLACE INTO chunk VALUES(?,?,?,?,?,?)",
	[STATEMENT_MODE] = "INSERT INTO mode VALUES(NULL,?,?,?,?)",
	[STATEMENT_STEP] = "INSERT INTO step VALUES(NULL,?,?)",
	[STATEMENT_MARK] = "INSERT INTO mark VALUES(NULL,?,?,?,?)",
	[STATEMENT_COUNTER] = "INSERT OR REPLACE INTO counter VALUES(?,?,?,?,?,?,?,?,?)",
	[STATEMENT_SITE_STACK] = "INSERT OR REPLACE INTO site_stack VALUES(?,?,?,?,?,?,?)",
	[STATEMENT_LOSS] = "INSERT OR REPLACE INTO loss VALUES(?,?,?)",
	[STATEMENT_UNSEEN] = "INSERT OR IGNORE INTO unseen VALUES(?,?)",
	[STATEMENT_UNRESOLVED] = "INSERT INTO unresolved VALUES(?,?,?)"
				 " ON CONFLICT(what, why) DO UPDATE SET n = n + excluded.n",
};

struct put put_begin(struct store *s, enum store_statement which)
{
	struct put r = {.s = s, .bytes = 16};

	if (!s->writable)
		r.error = -EROFS;
	else if (s->broken)
		r.error = s->broken;
	else if (!s->put[which])
		r.error = store_errno(sqlite3_prepare_v3(s->db, statements[which], -1,
							 SQLITE_PREPARE_PERSISTENT, &s->put[which],
							 NULL));
	r.st = s->put[which];
	return r;
}

static void bound(struct put *r, int rc, size_t bytes)
{
	if (rc && !r->error)
		r->error = store_errno(rc);
	r->bytes += bytes;
}

void put_i64(struct put *r, int64_t v)
{
	if (!r->error)
		bound(r, sqlite3_bind_int64(r->st, ++r->column, v), 9);
}

void put_u64(struct put *r, uint64_t v)
{
	put_i64(r, v < INT64_MAX ? (int64_t)v : INT64_MAX);
}

void put_address(struct put *r, uint64_t address)
{
	put_i64(r, (int64_t)address);
}

void put_count(struct put *r, uint64_t n)
{
	put_u64(r, n < COUNT_MAX ? n : COUNT_MAX);
}

static void put_null(struct put *r)
{
	if (!r->error)
		bound(r, sqlite3_bind_null(r->st, ++r->column), 1);
}

void put_id(struct put *r, int64_t id)
{
	if (id <= 0 && !r->error)
		r->error = -EINVAL;
	put_i64(r, id);
}

void put_ref(struct put *r, int64_t id)
{
	if (id < 0 && !r->error)
		r->error = -EINVAL;
	if (id)
		put_i64(r, id);
	else
		put_null(r);
}

void put_text(struct put *r, const char *text)
{
	if (!text) {
		put_null(r);
		return;
	}
	size_t n = strnlen(text, STORE_TEXT_MAX + 1);
	if (n > STORE_TEXT_MAX) {
		n = STORE_TEXT_MAX;
		for (int i = 0; i < 3 && ((unsigned char)text[n] & 0xc0) == 0x80; i++)
			n--;
	}
	if (!r->error)
		bound(r, sqlite3_bind_text(r->st, ++r->column, text, (int)n, SQLITE_STATIC), n + 2);
}

void put_required(struct put *r, const char *text)
{
	if (!text && !r->error)
		r->error = -EINVAL;
	put_text(r, text);
}

void put_blob(struct put *r, const void *data, size_t size)
{
	if (!r->error)
		bound(r,
		      sqlite3_bind_blob64(r->st, ++r->column, size ? data : "", size,
					  SQLITE_STATIC),
		      size + 4);
}

void put_histogram(struct put *r, const struct lsc_histogram *h, uint8_t buf[HISTOGRAM_PACKED_MAX])
{
	if (!h) {
		for (int i = 0; i < 4; i++)
			put_null(r);
		return;
	}
	put_blob(r, buf, histogram_pack(h, buf));
	put_u64(r, lsc_hist_quantile(h, 0.5));
	put_u64(r, lsc_hist_quantile(h, 0.99));
	put_u64(r, h->max_ns);
}

/* Whether bytes more fit. Rows of the summary (what the report needs to be honest about the rest)
 * may use a reserve that the mass of rows leaves free. */
static bool fits(struct store *s, size_t bytes, bool summary)
{
	if (!s->max_bytes)
		return true;

	uint64_t reserve = s->max_bytes / 16, used = UINT64_MAX;
	uint64_t need =
		2 * (uint64_t)bytes + STORE_PAGE_SIZE; /* half-filled pages, and a split of one */
	if (!summary && need <= s->room) {
		s->room -= need;
		return true;
	}
	struct put r = put_begin(s, STATEMENT_PAGES);
	if (!r.error && sqlite3_step(r.st) == SQLITE_ROW)
		used = (uint64_t)sqlite3_column_int64(r.st, 0) * STORE_PAGE_SIZE;
	sqlite3_reset(r.st);
	uint64_t limit = summary ? s->max_bytes : s->max_bytes - reserve;
	if (used > limit || need > limit - used)
		return false;
	if (!summary) /* half of what is free: the estimate is looked at again long before the bound
		       */
		s->room = (limit - used - need) / 2;
	return true;
}

/* Undoes the transaction and remembers that. */
static int break_off(struct store *s, int error)
{
	if (!sqlite3_get_autocommit(s->db))
		store_exec(s->db, "ROLLBACK");
	s->broken = error;
	return error;
}

static int step(struct store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : break_off(s, store_errno(rc));
}

int put_run(struct put *r)
{
	struct store *s = r->s;

	if (!r->error && sqlite3_get_autocommit(s->db)) {
		struct put b = put_begin(s, STATEMENT_BEGIN);
		r->error = b.error ? b.error : step(s, b.st);
	}
	if (!r->error)
		r->error = step(s, r->st);
	if (r->st)
		sqlite3_clear_bindings(r->st);
	return r->error;
}

int put_end(struct put *r, bool summary)
{
	if (!r->error && !fits(r->s, r->bytes, summary))
		r->error = -EFBIG;
	return put_run(r);
}

int store_commit(struct store *s)
{
	int error = s->broken;

	if (!s->writable)
		return -EROFS;
	if (!s->db) /* could not be published */
		return s->broken;
	s->broken = 0;
	if (error || sqlite3_get_autocommit(s->db))
		return error;
	struct put r = put_begin(s, STATEMENT_COMMIT);
	error = r.error ? r.error : step(s, r.st);
	s->broken = 0; /* said now */
	return error;
}
