/* SPDX-License-Identifier: MIT */
/*
 * Reading rows. The file is hostile: store_open has proven its schema, here every value is checked
 * against the range of the field that it becomes; what does not fit makes the capture damaged.
 * Kinds that a later version may have added pass, as numbers.
 */
#include "handle.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"

/* A running query; columns are taken from left to right. The first error sticks, and a callback's
 * non-zero answer counts as one. */
struct row {
	sqlite3_stmt *st;
	int column;
	int error;
};

static struct row query(struct store *s, const char *sql)
{
	struct row r = {0};

	r.error = store_errno(sqlite3_prepare_v2(s->db, sql, -1, &r.st, NULL));
	return r;
}

static bool next(struct row *r)
{
	if (r->error)
		return false;
	int rc = sqlite3_step(r->st);
	r->column = 0;
	r->error = store_errno(rc);
	return rc == SQLITE_ROW;
}

static int done(struct row *r)
{
	sqlite3_finalize(r->st);
	r->st = NULL;
	return r->error;
}

static void damaged(struct row *r)
{
	if (!r->error)
		r->error = -EBADMSG;
}

static uint64_t get_u64(struct row *r)
{
	return (uint64_t)sqlite3_column_int64(r->st, r->column++);
}

static int get_int(struct row *r, int min, int max)
{
	int64_t v = sqlite3_column_int64(r->st, r->column++);

	if (v < min || v > max) {
		damaged(r);
		return min;
	}
	return (int)v;
}

static int64_t get_id(struct row *r)
{
	int64_t v = sqlite3_column_int64(r->st, r->column++);

	if (v <= 0)
		damaged(r);
	return v;
}

static int64_t get_ref(struct row *r)
{
	if (sqlite3_column_type(r->st, r->column) != SQLITE_NULL)
		return get_id(r);
	r->column++;
	return 0;
}

static const char *get_text(struct row *r)
{
	int column = r->column++;

	if (sqlite3_column_type(r->st, column) == SQLITE_NULL)
		return NULL;
	const char *text = (const char *)sqlite3_column_text(r->st, column);
	if (!text && !r->error)
		r->error = -ENOMEM;
	if (sqlite3_column_bytes(r->st, column) > STORE_TEXT_MAX)
		damaged(r);
	return text;
}

/* Four columns, of which the packed histogram tells all. NULL unknown. */
static const struct lsc_histogram *get_histogram(struct row *r, struct lsc_histogram *h)
{
	int column = r->column;
	int r2;

	r->column += 4;
	if (sqlite3_column_type(r->st, column) == SQLITE_NULL)
		return NULL;
	const void *data = sqlite3_column_blob(r->st, column);
	r2 = histogram_unpack(data ? data : "", (size_t)sqlite3_column_bytes(r->st, column), h);
	if (r2 < 0) {
		damaged(r);
		return NULL;
	}
	return h;
}

/* Calls fn for the row just read, unless something in it was wrong. */
#define GIVE(r, fn, ...)                                                                           \
	do {                                                                                       \
		if (!(r)->error)                                                                   \
			(r)->error = (fn)(__VA_ARGS__);                                            \
	} while (0)

int store_each_meta(struct store *s, store_meta_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT key, value FROM meta ORDER BY key");

	while (next(&r)) {
		const char *key = get_text(&r);
		const char *value = get_text(&r);
		GIVE(&r, fn, key, value, arg);
	}
	return done(&r);
}

int store_each_target(struct store *s, store_target_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM target ORDER BY id");

	while (next(&r)) {
		struct store_target t = {.id = get_id(&r)};
		t.pid = get_int(&r, INT_MIN, INT_MAX);
		t.ns_pid = get_int(&r, INT_MIN, INT_MAX);
		t.comm = get_text(&r);
		t.exe = get_text(&r);
		t.runtime = get_text(&r);
		t.runtime_version = get_text(&r);
		t.cgroup = get_text(&r);
		t.first_ns = get_u64(&r);
		t.last_ns = get_u64(&r);
		GIVE(&r, fn, &t, arg);
	}
	return done(&r);
}

int store_each_loop(struct store *s, store_loop_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM loop ORDER BY id");
	struct lsc_histogram lag;

	while (next(&r)) {
		struct store_loop l = {.id = get_id(&r)};
		l.target = get_ref(&r);
		l.tid = get_int(&r, INT_MIN, INT_MAX);
		l.comm = get_text(&r);
		l.source = get_int(&r, 0, INT_MAX);
		l.runtime = get_text(&r);
		l.wait_syscall = get_text(&r);
		l.wait_fd = get_int(&r, INT_MIN, INT_MAX);
		l.first_ns = get_u64(&r);
		l.last_ns = get_u64(&r);
		l.ticks = get_u64(&r);
		l.busy_ns = get_u64(&r);
		l.idle_ns = get_u64(&r);
		l.runqueue_ns = get_u64(&r);
		l.stall_count = get_u64(&r);
		l.stalled_ns = get_u64(&r);
		l.lag = get_histogram(&r, &lag);
		GIVE(&r, fn, &l, arg);
	}
	return done(&r);
}

int store_each_task(struct store *s, store_task_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM task ORDER BY id");
	struct lsc_histogram ready_wait;

	while (next(&r)) {
		struct store_task t = {.id = get_id(&r)};
		t.loop = get_ref(&r);
		uint64_t ring_id = get_u64(&r);
		if (ring_id > UINT32_MAX)
			damaged(&r);
		t.ring_id = (uint32_t)ring_id;
		t.name = get_text(&r);
		t.kind = get_int(&r, 0, INT_MAX);
		t.spawn_site.function = get_text(&r);
		t.spawn_site.file = get_text(&r);
		t.spawn_site.line = get_int(&r, INT_MIN, INT_MAX);
		t.parent = get_ref(&r);
		t.state = get_text(&r);
		t.waiting_on = get_text(&r);
		t.awaits = get_ref(&r);
		t.created_ns = get_u64(&r);
		t.ended_ns = get_u64(&r);
		t.steps = get_u64(&r);
		t.run_ns = get_u64(&r);
		t.max_step_ns = get_u64(&r);
		t.ready_wait = get_histogram(&r, &ready_wait);
		GIVE(&r, fn, &t, arg);
	}
	return done(&r);
}

/* A cause of a later version counts as "other", so that the split still sums. */
static int get_cause(struct row *r)
{
	int cause = get_int(r, 0, INT_MAX);

	return cause < LSC_CAUSE_COUNT ? cause : LSC_CAUSE_OTHER;
}

static int read_split(struct row *split, int64_t stall, uint64_t ns[LSC_CAUSE_COUNT])
{
	if (!split->error)
		split->error = store_errno(sqlite3_bind_int64(split->st, 1, stall));
	while (next(split)) {
		int cause = get_cause(split);
		ns[cause] += get_u64(split);
	}
	if (split->st)
		sqlite3_reset(split->st);
	return split->error;
}

int store_each_stall(struct store *s, store_stall_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM stall ORDER BY start_ns, id");
	struct row split = query(s, "SELECT cause, ns FROM stall_split WHERE stall = ?");

	while (next(&r)) {
		struct store_stall t = {.id = get_id(&r)};
		t.loop = get_ref(&r);
		t.start_ns = get_u64(&r);
		t.duration_ns = get_u64(&r);
		t.duration_min_ns = get_u64(&r);
		t.duration_max_ns = get_u64(&r);
		t.mode = get_int(&r, 0, INT_MAX);
		t.in_progress = get_int(&r, 0, 1);
		t.inferred = get_int(&r, 0, 1);
		t.task = get_ref(&r);
		t.stack = get_ref(&r);
		GIVE(&r, read_split, &split, t.id, t.split);
		GIVE(&r, fn, &t, arg);
	}
	done(&split);
	return done(&r);
}

int store_each_culprit(struct store *s, store_culprit_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM culprit ORDER BY stall, task");

	while (next(&r)) {
		struct store_culprit c = {.stall = get_id(&r)};
		c.task = get_id(&r);
		c.ns = get_u64(&r);
		GIVE(&r, fn, &c, arg);
	}
	return done(&r);
}

int store_each_block(struct store *s, store_block_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM block ORDER BY start_ns, id");

	while (next(&r)) {
		struct store_block b = {.id = get_id(&r)};
		b.loop = get_ref(&r);
		b.stall = get_ref(&r);
		b.task = get_ref(&r);
		b.start_ns = get_u64(&r);
		b.duration_ns = get_u64(&r);
		b.count = get_u64(&r);
		b.syscall = get_text(&r);
		b.cause = get_cause(&r);
		b.inferred = get_int(&r, 0, 1);
		b.args_json = get_text(&r);
		b.resource_kind = get_text(&r);
		b.path = get_text(&r);
		b.peer = get_text(&r);
		b.proto = get_text(&r);
		b.resource_pid = get_int(&r, INT_MIN, INT_MAX);
		b.resource_comm = get_text(&r);
		b.requested_ns = get_u64(&r);
		b.owner_tid = get_int(&r, INT_MIN, INT_MAX);
		b.owner_comm = get_text(&r);
		b.owner_stack = get_ref(&r);
		b.waker_pid = get_int(&r, INT_MIN, INT_MAX);
		b.waker_comm = get_text(&r);
		b.stack = get_ref(&r);
		b.kernel_stack = get_ref(&r);
		GIVE(&r, fn, &b, arg);
	}
	return done(&r);
}

int store_each_sample(struct store *s, store_sample_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT loop, stall, task, ts_ns, ns, kernel, stack FROM sample"
				" ORDER BY ts_ns, id");

	while (next(&r)) {
		struct store_sample p = {.loop = get_ref(&r)};
		p.stall = get_ref(&r);
		p.task = get_ref(&r);
		p.ts_ns = get_u64(&r);
		p.ns = get_u64(&r);
		p.kernel = get_int(&r, 0, 1);
		p.stack = get_ref(&r);
		GIVE(&r, fn, &p, arg);
	}
	return done(&r);
}

int store_each_wait(struct store *s, store_wait_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM wait ORDER BY ready_ns, id");

	while (next(&r)) {
		struct store_wait w = {.id = get_id(&r)};
		w.loop = get_ref(&r);
		w.kind = get_int(&r, 0, INT_MAX);
		w.task = get_ref(&r);
		w.fd = get_int(&r, INT_MIN, INT_MAX);
		w.peer = get_text(&r);
		w.name = get_text(&r);
		w.ready_ns = get_u64(&r);
		w.wait_ns = get_u64(&r);
		GIVE(&r, fn, &w, arg);
	}
	return done(&r);
}

/* The frames of one stack, with copies of their texts: those of a query end with its next row. */
struct frames {
	size_t n;
	struct store_frame frame[STORE_FRAMES_MAX];
	char *text[4 * STORE_FRAMES_MAX]; /* owns */
	size_t ntexts;
};

static const char *keep_text(struct row *r, struct frames *f)
{
	const char *text = get_text(r);

	if (!text || r->error)
		return NULL;
	char *copy = strdup(text);
	if (!copy)
		r->error = -ENOMEM;
	else
		f->text[f->ntexts++] = copy;
	return copy;
}

static void drop_frames(struct frames *f)
{
	while (f->ntexts)
		free(f->text[--f->ntexts]);
	f->n = 0;
}

static int read_frames(struct row *r, int64_t stack, struct frames *f)
{
	drop_frames(f);
	if (!r->error)
		r->error = store_errno(sqlite3_bind_int64(r->st, 1, stack));
	while (next(r)) {
		if (f->n == STORE_FRAMES_MAX) {
			damaged(r);
			break;
		}
		struct store_frame *to = &f->frame[f->n++];
		to->lang = get_int(r, 0, INT_MAX);
		to->function = keep_text(r, f);
		to->file = keep_text(r, f);
		to->line = get_int(r, INT_MIN, INT_MAX);
		to->module = keep_text(r, f);
		to->build_id = keep_text(r, f);
		to->offset = get_u64(r);
		to->inlined = get_int(r, 0, 1);
	}
	if (r->st)
		sqlite3_reset(r->st);
	return r->error;
}

int store_each_stack(struct store *s, store_stack_fn *fn, void *arg)
{
	struct frames *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	struct row r = query(s, "SELECT * FROM stack ORDER BY id");
	struct row frames =
		query(s, "SELECT lang, function, file, line, module, build_id, offset, inlined"
			 " FROM frame WHERE stack = ? ORDER BY depth");
	while (next(&r)) {
		struct store_stack t = {.id = get_id(&r), .frames = f->frame};
		t.truncated = get_int(&r, 0, 1);
		GIVE(&r, read_frames, &frames, t.id, f);
		t.nframes = f->n;
		GIVE(&r, fn, &t, arg);
	}
	drop_frames(f);
	free(f);
	done(&frames);
	return done(&r);
}

int store_each_chunk(struct store *s, store_chunk_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM chunk ORDER BY first_ns, id");

	while (next(&r)) {
		struct store_chunk c = {.id = get_id(&r)};
		c.loop = get_ref(&r);
		c.first_ns = get_u64(&r);
		c.last_ns = get_u64(&r);
		c.count = get_u64(&r);
		c.data = sqlite3_column_blob(r.st, r.column);
		c.size = (size_t)sqlite3_column_bytes(r.st, r.column);
		if (c.size > CHUNK_MAX_BYTES || c.count > c.size)
			damaged(&r);
		GIVE(&r, fn, &c, arg);
	}
	return done(&r);
}

int store_each_mode(struct store *s, store_mode_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT loop, from_ns, to_ns, mode FROM mode ORDER BY id");

	while (next(&r)) {
		struct store_mode_span m = {.loop = get_ref(&r)};
		m.from_ns = get_u64(&r);
		m.to_ns = get_u64(&r);
		m.mode = get_int(&r, 0, INT_MAX);
		GIVE(&r, fn, &m, arg);
	}
	return done(&r);
}

int store_each_step(struct store *s, store_step_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT ts_ns, what FROM step ORDER BY id");

	while (next(&r)) {
		uint64_t ts_ns = get_u64(&r);
		const char *what = get_text(&r);
		GIVE(&r, fn, ts_ns, what, arg);
	}
	return done(&r);
}

int store_each_mark(struct store *s, store_mark_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT loop, task, ts_ns, text FROM mark ORDER BY ts_ns, id");

	while (next(&r)) {
		struct store_mark m = {.loop = get_ref(&r)};
		m.task = get_ref(&r);
		m.ts_ns = get_u64(&r);
		m.text = get_text(&r);
		GIVE(&r, fn, &m, arg);
	}
	return done(&r);
}

int store_each_counter(struct store *s, store_counter_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT * FROM counter ORDER BY id");

	while (next(&r)) {
		struct store_counter c = {.id = get_id(&r)};
		c.loop = get_ref(&r);
		c.name = get_text(&r);
		c.count = get_u64(&r);
		c.first_ns = get_u64(&r);
		c.last_ns = get_u64(&r);
		c.last = (int64_t)get_u64(&r);
		c.min = (int64_t)get_u64(&r);
		c.max = (int64_t)get_u64(&r);
		GIVE(&r, fn, &c, arg);
	}
	return done(&r);
}

int store_each_loss(struct store *s, store_loss_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT id, n FROM loss WHERE n > 0 ORDER BY id");

	while (next(&r)) {
		int reason = get_int(&r, 0, INT_MAX);
		uint64_t n = get_u64(&r);
		GIVE(&r, fn, (enum lsc_loss)reason, n, arg);
	}
	return done(&r);
}

int store_each_unseen(struct store *s, store_unseen_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT what, why FROM unseen ORDER BY what, why");

	while (next(&r)) {
		const char *what = get_text(&r);
		const char *why = get_text(&r);
		GIVE(&r, fn, what, why, arg);
	}
	return done(&r);
}

int store_each_unresolved(struct store *s, store_unresolved_fn *fn, void *arg)
{
	struct row r = query(s, "SELECT what, why, n FROM unresolved ORDER BY what, why");

	while (next(&r)) {
		const char *what = get_text(&r);
		const char *why = get_text(&r);
		uint64_t n = get_u64(&r);
		GIVE(&r, fn, what, why, n, arg);
	}
	return done(&r);
}
