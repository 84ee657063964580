/* SPDX-License-Identifier: MIT */
#include "row.h"

#include <errno.h>

struct row row_query(struct store *s, const char *sql)
{
	struct row r = {0};

	r.error = store_errno(sqlite3_prepare_v2(s->db, sql, -1, &r.st, NULL));
	return r;
}

bool row_next(struct row *r)
{
	if (r->error)
		return false;
	int rc = sqlite3_step(r->st);
	r->column = 0;
	r->error = store_errno(rc);
	return rc == SQLITE_ROW;
}

int row_done(struct row *r)
{
	sqlite3_finalize(r->st);
	r->st = NULL;
	return r->error;
}

void row_damaged(struct row *r)
{
	if (!r->error)
		r->error = -EBADMSG;
}

uint64_t row_u64(struct row *r)
{
	return (uint64_t)sqlite3_column_int64(r->st, r->column++);
}

int row_int(struct row *r, int min, int max)
{
	int64_t v = sqlite3_column_int64(r->st, r->column++);

	if (v < min || v > max) {
		row_damaged(r);
		return min;
	}
	return (int)v;
}

int64_t row_id(struct row *r)
{
	int64_t v = sqlite3_column_int64(r->st, r->column++);

	if (v <= 0)
		row_damaged(r);
	return v;
}

int64_t row_ref(struct row *r)
{
	if (sqlite3_column_type(r->st, r->column) != SQLITE_NULL)
		return row_id(r);
	r->column++;
	return 0;
}

const char *row_text(struct row *r)
{
	int column = r->column++;

	if (sqlite3_column_type(r->st, column) == SQLITE_NULL)
		return NULL;
	const char *text = (const char *)sqlite3_column_text(r->st, column);
	if (!text && !r->error)
		r->error = -ENOMEM;
	if (sqlite3_column_bytes(r->st, column) > STORE_TEXT_MAX)
		row_damaged(r);
	return text;
}

const struct lsc_histogram *row_histogram(struct row *r, struct lsc_histogram *h)
{
	int column = r->column;
	int r2;

	r->column += 4;
	if (sqlite3_column_type(r->st, column) == SQLITE_NULL)
		return NULL;
	const void *data = sqlite3_column_blob(r->st, column);
	r2 = histogram_unpack(data ? data : "", (size_t)sqlite3_column_bytes(r->st, column), h);
	if (r2 < 0) {
		row_damaged(r);
		return NULL;
	}
	return h;
}
