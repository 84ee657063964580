/* SPDX-License-Identifier: MIT */
/*
 * Putting rows: one prepared statement per table, bound parameters only, one transaction from
 * commit to commit. The size bound is looked at before a row is put, because SQLite answers a full
 * file by undoing the whole transaction. When it does so all the same (disk full, I/O error), the
 * store says so until the next commit: everything put since the last one is void.
 */
#include "handle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chunk.h"

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
	[STATEMENT_LOSS] = "INSERT INTO loss VALUES(?,?,?)"
			   " ON CONFLICT(id) DO UPDATE SET n = n + excluded.n",
	[STATEMENT_UNSEEN] = "INSERT OR IGNORE INTO unseen VALUES(?,?)",
	[STATEMENT_UNRESOLVED] = "INSERT INTO unresolved VALUES(?,?,?)"
				 " ON CONFLICT(what, why) DO UPDATE SET n = n + excluded.n",
};

/* A row being bound: parameters in the order of the table's columns. The first error sticks. */
struct row {
	struct store *s;
	sqlite3_stmt *st;
	int column;
	int error;    /* -errno */
	size_t bytes; /* about what the row takes in the file */
};

static struct row begin(struct store *s, enum store_statement which)
{
	struct row r = {.s = s, .bytes = 16};

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

static void bound(struct row *r, int rc, size_t bytes)
{
	if (rc && !r->error)
		r->error = store_errno(rc);
	r->bytes += bytes;
}

static void put_u64(struct row *r, uint64_t v)
{
	if (!r->error)
		bound(r, sqlite3_bind_int64(r->st, ++r->column, (sqlite3_int64)v), 9);
}

static void put_count(struct row *r, uint64_t n)
{
	put_u64(r, n < COUNT_MAX ? n : COUNT_MAX);
}

static void put_i64(struct row *r, int64_t v)
{
	put_u64(r, (uint64_t)v);
}

static void put_null(struct row *r)
{
	if (!r->error)
		bound(r, sqlite3_bind_null(r->st, ++r->column), 1);
}

/* A row's own id. */
static void put_id(struct row *r, int64_t id)
{
	if (id <= 0 && !r->error)
		r->error = -EINVAL;
	put_i64(r, id);
}

/* A reference to another row, 0 for none. */
static void put_ref(struct row *r, int64_t id)
{
	if (id < 0 && !r->error)
		r->error = -EINVAL;
	if (id)
		put_i64(r, id);
	else
		put_null(r);
}

/* Cuts what is too long, not within a character. */
static void put_text(struct row *r, const char *text)
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

static void put_required(struct row *r, const char *text)
{
	if (!text && !r->error)
		r->error = -EINVAL;
	put_text(r, text);
}

static void put_blob(struct row *r, const void *data, size_t size)
{
	if (!r->error)
		bound(r,
		      sqlite3_bind_blob64(r->st, ++r->column, size ? data : "", size,
					  SQLITE_STATIC),
		      size + 4);
}

/* Four columns: the packed histogram and its best-known quantiles. buf lives until the row is put.
 */
static void put_histogram(struct row *r, const struct lsc_histogram *h,
			  uint8_t buf[HISTOGRAM_PACKED_MAX])
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
	struct row r = begin(s, STATEMENT_PAGES);
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

/* Puts the bound row, whose size was looked at. */
static int run(struct row *r)
{
	struct store *s = r->s;

	if (!r->error && sqlite3_get_autocommit(s->db)) {
		struct row b = begin(s, STATEMENT_BEGIN);
		r->error = b.error ? b.error : step(s, b.st);
	}
	if (!r->error)
		r->error = step(s, r->st);
	if (r->st)
		sqlite3_clear_bindings(r->st);
	return r->error;
}

static int put(struct row *r, bool summary)
{
	if (!r->error && !fits(r->s, r->bytes, summary))
		r->error = -EFBIG;
	return run(r);
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
	struct row r = begin(s, STATEMENT_COMMIT);
	error = r.error ? r.error : step(s, r.st);
	s->broken = 0; /* said now */
	return error;
}

int store_meta_put(struct store *s, const char *key, const char *value)
{
	struct row r = begin(s, STATEMENT_META);

	put_required(&r, key);
	put_required(&r, value);
	return put(&r, true);
}

int store_meta_put_int(struct store *s, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return store_meta_put(s, key, text);
}

int store_put_target(struct store *s, const struct store_target *row)
{
	struct row r = begin(s, STATEMENT_TARGET);

	put_id(&r, row->id);
	put_i64(&r, row->pid);
	put_i64(&r, row->ns_pid);
	put_text(&r, row->comm);
	put_text(&r, row->exe);
	put_text(&r, row->runtime);
	put_text(&r, row->runtime_version);
	put_text(&r, row->cgroup);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	return put(&r, true);
}

int store_put_loop(struct store *s, const struct store_loop *row)
{
	struct row r = begin(s, STATEMENT_LOOP);
	uint8_t lag[HISTOGRAM_PACKED_MAX];

	put_id(&r, row->id);
	put_ref(&r, row->target);
	put_i64(&r, row->tid);
	put_text(&r, row->comm);
	put_i64(&r, row->source);
	put_text(&r, row->runtime);
	put_text(&r, row->wait_syscall);
	put_i64(&r, row->wait_fd);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	put_u64(&r, row->ticks);
	put_u64(&r, row->busy_ns);
	put_u64(&r, row->idle_ns);
	put_u64(&r, row->runqueue_ns);
	put_u64(&r, row->stall_count);
	put_u64(&r, row->stalled_ns);
	put_histogram(&r, row->lag, lag);
	return put(&r, true);
}

int store_put_task(struct store *s, const struct store_task *row)
{
	struct row r = begin(s, STATEMENT_TASK);
	uint8_t ready_wait[HISTOGRAM_PACKED_MAX];

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_u64(&r, row->ring_id);
	put_text(&r, row->name);
	put_i64(&r, row->kind);
	put_text(&r, row->spawn_site.function);
	put_text(&r, row->spawn_site.file);
	put_i64(&r, row->spawn_site.line);
	put_ref(&r, row->parent);
	put_text(&r, row->state);
	put_text(&r, row->waiting_on);
	put_ref(&r, row->awaits);
	put_u64(&r, row->created_ns);
	put_u64(&r, row->ended_ns);
	put_u64(&r, row->steps);
	put_u64(&r, row->run_ns);
	put_u64(&r, row->max_step_ns);
	put_histogram(&r, row->ready_wait, ready_wait);
	return put(&r, false);
}

int store_put_stall(struct store *s, const struct store_stall *row)
{
	struct row r = begin(s, STATEMENT_STALL);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_u64(&r, row->start_ns);
	put_u64(&r, row->duration_ns);
	put_u64(&r, row->duration_min_ns);
	put_u64(&r, row->duration_max_ns);
	put_i64(&r, row->mode);
	put_i64(&r, row->in_progress);
	put_i64(&r, row->inferred);
	put_ref(&r, row->task);
	put_ref(&r, row->stack);
	r.bytes += LSC_CAUSE_COUNT * 24;
	if (put(&r, false))
		return r.error;
	r = begin(s, STATEMENT_STALL_SPLIT_CLEAR);
	put_id(&r, row->id);
	run(&r);
	for (int i = 0; !r.error && i < LSC_CAUSE_COUNT; i++) {
		if (!row->split[i])
			continue;
		r = begin(s, STATEMENT_STALL_SPLIT);
		put_id(&r, row->id);
		put_i64(&r, i);
		put_u64(&r, row->split[i]);
		run(&r);
	}
	return r.error;
}

int store_put_culprit(struct store *s, const struct store_culprit *row)
{
	struct row r = begin(s, STATEMENT_CULPRIT);

	put_id(&r, row->stall);
	put_id(&r, row->task);
	put_u64(&r, row->ns);
	return put(&r, false);
}

int store_put_block(struct store *s, const struct store_block *row)
{
	struct row r = begin(s, STATEMENT_BLOCK);
	/* cut JSON would not be JSON */
	bool args_fit =
		row->args_json && strnlen(row->args_json, STORE_TEXT_MAX + 1) <= STORE_TEXT_MAX;

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_ref(&r, row->stall);
	put_ref(&r, row->task);
	put_u64(&r, row->start_ns);
	put_u64(&r, row->duration_ns);
	put_u64(&r, row->count);
	put_text(&r, row->syscall);
	put_i64(&r, row->cause);
	put_i64(&r, row->inferred);
	put_text(&r, args_fit ? row->args_json : NULL);
	put_text(&r, row->resource_kind);
	put_text(&r, row->path);
	put_text(&r, row->peer);
	put_text(&r, row->proto);
	put_i64(&r, row->resource_pid);
	put_text(&r, row->resource_comm);
	put_u64(&r, row->requested_ns);
	put_i64(&r, row->owner_tid);
	put_text(&r, row->owner_comm);
	put_ref(&r, row->owner_stack);
	put_i64(&r, row->waker_pid);
	put_text(&r, row->waker_comm);
	put_ref(&r, row->stack);
	put_ref(&r, row->kernel_stack);
	return put(&r, false);
}

int store_put_sample(struct store *s, const struct store_sample *row)
{
	struct row r = begin(s, STATEMENT_SAMPLE);

	put_ref(&r, row->loop);
	put_ref(&r, row->stall);
	put_ref(&r, row->task);
	put_u64(&r, row->ts_ns);
	put_u64(&r, row->ns);
	put_i64(&r, row->kernel);
	put_ref(&r, row->stack);
	return put(&r, false);
}

int store_put_wait(struct store *s, const struct store_wait *row)
{
	struct row r = begin(s, STATEMENT_WAIT);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_i64(&r, row->kind);
	put_ref(&r, row->task);
	put_i64(&r, row->fd);
	put_text(&r, row->peer);
	put_text(&r, row->name);
	put_u64(&r, row->ready_ns);
	put_u64(&r, row->wait_ns);
	return put(&r, false);
}

static void put_frame(struct row *r, const struct store_stack *stack, size_t depth)
{
	const struct store_frame *f = &stack->frames[depth];

	put_id(r, stack->id);
	put_u64(r, depth);
	put_i64(r, f->lang);
	put_text(r, f->function);
	put_text(r, f->file);
	put_i64(r, f->line);
	put_text(r, f->module);
	put_text(r, f->build_id);
	put_u64(r, f->offset);
	put_i64(r, f->inlined);
}

static size_t frame_bytes(const struct store_frame *f)
{
	const char *texts[] = {f->function, f->file, f->module, f->build_id};
	size_t bytes = 48;

	for (int i = 0; i < 4; i++)
		bytes += texts[i] ? strnlen(texts[i], STORE_TEXT_MAX) : 0;
	return bytes;
}

int store_put_stack(struct store *s, const struct store_stack *row)
{
	struct row r = begin(s, STATEMENT_STACK);

	if (row->nframes > STORE_FRAMES_MAX)
		return -EINVAL;
	put_id(&r, row->id);
	put_i64(&r, row->truncated);
	for (size_t i = 0; i < row->nframes; i++)
		r.bytes += frame_bytes(&row->frames[i]);
	if (put(&r, false))
		return r.error;
	r = begin(s, STATEMENT_FRAME_CLEAR);
	put_id(&r, row->id);
	run(&r);
	for (size_t i = 0; !r.error && i < row->nframes; i++) {
		r = begin(s, STATEMENT_FRAME);
		put_frame(&r, row, i);
		run(&r);
	}
	return r.error;
}

int store_put_chunk(struct store *s, const struct store_chunk *row)
{
	struct row r = begin(s, STATEMENT_CHUNK);

	if (row->size > CHUNK_MAX_BYTES)
		return -EINVAL;
	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	put_u64(&r, row->count);
	put_blob(&r, row->data, row->size);
	return put(&r, false);
}

int store_put_mode(struct store *s, const struct store_mode_span *row)
{
	struct row r = begin(s, STATEMENT_MODE);

	put_ref(&r, row->loop);
	put_u64(&r, row->from_ns);
	put_u64(&r, row->to_ns);
	put_i64(&r, row->mode);
	return put(&r, true);
}

int store_put_step(struct store *s, uint64_t ts_ns, const char *what)
{
	struct row r = begin(s, STATEMENT_STEP);

	put_u64(&r, ts_ns);
	put_required(&r, what);
	return put(&r, true);
}

int store_put_mark(struct store *s, const struct store_mark *row)
{
	struct row r = begin(s, STATEMENT_MARK);

	put_ref(&r, row->loop);
	put_ref(&r, row->task);
	put_u64(&r, row->ts_ns);
	put_text(&r, row->text);
	return put(&r, false);
}

int store_put_counter(struct store *s, const struct store_counter *row)
{
	struct row r = begin(s, STATEMENT_COUNTER);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_required(&r, row->name);
	put_u64(&r, row->count);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	put_i64(&r, row->last);
	put_i64(&r, row->min);
	put_i64(&r, row->max);
	return put(&r, false);
}

int store_add_loss(struct store *s, enum lsc_loss reason, uint64_t n)
{
	struct row r = begin(s, STATEMENT_LOSS);

	if ((int)reason < 0 || reason >= LSC_LOSS_COUNT)
		return -EINVAL;
	put_i64(&r, reason);
	put_text(&r, lsc_loss_name(reason));
	put_count(&r, n);
	return put(&r, true);
}

int store_put_unseen(struct store *s, const char *what, const char *why)
{
	struct row r = begin(s, STATEMENT_UNSEEN);

	put_required(&r, what);
	put_required(&r, why);
	return put(&r, true);
}

int store_add_unresolved(struct store *s, const char *what, const char *why, uint64_t n)
{
	struct row r = begin(s, STATEMENT_UNRESOLVED);

	put_required(&r, what);
	put_required(&r, why);
	put_count(&r, n);
	return put(&r, true);
}
