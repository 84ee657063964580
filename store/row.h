/* SPDX-License-Identifier: MIT */
/*
 * A running query and the values of its rows. The file is hostile: each value is checked against
 * the range that the caller names; what does not fit makes the capture damaged (-EBADMSG).
 */
#ifndef LSC_STORE_ROW_H
#define LSC_STORE_ROW_H

#include "handle.h"

/* A running query; columns are taken from left to right. The first error sticks, and a callback's
 * non-zero answer counts as one. */
struct row {
	sqlite3_stmt *st;
	int column;
	int error;
};

struct row row_query(struct store *s, const char *sql);
/* The next row, from its first column. false at the end, and after an error. */
bool row_next(struct row *r);
/* Ends the query. 0 or its error. */
int row_done(struct row *r);
void row_damaged(struct row *r);

/* Each takes the next column. */
uint64_t row_u64(struct row *r);
int row_int(struct row *r, int min, int max);
int64_t row_id(struct row *r);
/* 0: NULL. */
int64_t row_ref(struct row *r);
/* At most STORE_TEXT_MAX bytes; NULL: NULL. Borrowed until the next row. */
const char *row_text(struct row *r);
/* Four columns, of which the packed histogram tells all. NULL unknown. */
const struct lsc_histogram *row_histogram(struct row *r, struct lsc_histogram *h);

#endif
