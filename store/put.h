/* SPDX-License-Identifier: MIT */
/* One row on its way into the capture: begun, its columns bound in the order of the table's, put.
 */
#ifndef LSC_STORE_PUT_H
#define LSC_STORE_PUT_H

#include "handle.h"

/* The first error sticks. */
struct put {
	struct store *s;
	sqlite3_stmt *st;
	int column;
	int error;    /* -errno */
	size_t bytes; /* about what the row takes in the file */
};

struct put put_begin(struct store *s, enum store_statement which);

void put_i64(struct put *r, int64_t v);
/* A time, a duration, a number of something: what is beyond INT64_MAX, and nonsense, is that. */
void put_u64(struct put *r, uint64_t v);
/* Beyond that it is a negative number. */
void put_address(struct put *r, uint64_t address);
/* Of a number that is added to. */
void put_count(struct put *r, uint64_t n);
/* A row's own id. */
void put_id(struct put *r, int64_t id);
/* A reference to another row, 0 for none. */
void put_ref(struct put *r, int64_t id);
/* NULL is unknown. Cuts what is too long, not within a character. */
void put_text(struct put *r, const char *text);
/* NULL is -EINVAL. */
void put_required(struct put *r, const char *text);
void put_blob(struct put *r, const void *data, size_t size);
/* Four columns: the packed histogram and its best-known quantiles. buf lives until the row is put.
 */
void put_histogram(struct put *r, const struct lsc_histogram *h, uint8_t buf[HISTOGRAM_PACKED_MAX]);

/* Puts it. A row of the summary may use the room that is kept for it. 0 or -errno; -EFBIG when it
 * does not fit. */
int put_end(struct put *r, bool summary);
/* The same of one whose size was looked at. */
int put_run(struct put *r);

#endif
