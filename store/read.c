/* SPDX-License-Identifier: MIT */
/*
 * Reading rows. The file is hostile: store_open has proven its schema, here every value is checked
 * against the range of the field that it becomes. Kinds that a later version may have added pass,
 * as numbers.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "row.h"

/* Calls fn for the row just read, unless something in it was wrong. */
#define GIVE(r, fn, ...)                                                                           \
	do {                                                                                       \
		if (!(r)->error)                                                                   \
			(r)->error = (fn)(__VA_ARGS__);                                            \
	} while (0)

int store_each_meta(struct store *s, store_meta_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT key, value FROM meta ORDER BY key");

	while (row_next(&r)) {
		const char *key = row_text(&r);
		const char *value = row_text(&r);
		GIVE(&r, fn, key, value, arg);
	}
	return row_done(&r);
}

int store_each_target(struct store *s, store_target_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM target ORDER BY id");

	while (row_next(&r)) {
		struct store_target t = {.id = row_id(&r)};
		t.pid = row_int(&r, INT_MIN, INT_MAX);
		t.ns_pid = row_int(&r, INT_MIN, INT_MAX);
		t.comm = row_text(&r);
		t.exe = row_text(&r);
		t.runtime = row_text(&r);
		t.runtime_version = row_text(&r);
		t.cgroup = row_text(&r);
		t.first_ns = row_u64(&r);
		t.last_ns = row_u64(&r);
		GIVE(&r, fn, &t, arg);
	}
	return row_done(&r);
}

int store_each_loop(struct store *s, store_loop_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM loop ORDER BY id");
	struct lsc_histogram lag;

	while (row_next(&r)) {
		struct store_loop l = {.id = row_id(&r)};
		l.target = row_ref(&r);
		l.tid = row_int(&r, INT_MIN, INT_MAX);
		l.comm = row_text(&r);
		l.source = row_int(&r, 0, INT_MAX);
		l.runtime = row_text(&r);
		l.wait_syscall = row_text(&r);
		l.wait_fd = row_int(&r, INT_MIN, INT_MAX);
		l.first_ns = row_u64(&r);
		l.last_ns = row_u64(&r);
		l.ticks = row_u64(&r);
		l.busy_ns = row_u64(&r);
		l.idle_ns = row_u64(&r);
		l.runqueue_ns = row_u64(&r);
		l.stall_count = row_u64(&r);
		l.stalled_ns = row_u64(&r);
		l.lag = row_histogram(&r, &lag);
		GIVE(&r, fn, &l, arg);
	}
	return row_done(&r);
}

int store_each_task(struct store *s, store_task_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM task ORDER BY id");
	struct lsc_histogram ready_wait;

	while (row_next(&r)) {
		struct store_task t = {.id = row_id(&r)};
		t.loop = row_ref(&r);
		uint64_t ring_id = row_u64(&r);
		if (ring_id > UINT32_MAX)
			row_damaged(&r);
		t.ring_id = (uint32_t)ring_id;
		t.name = row_text(&r);
		t.kind = row_int(&r, 0, INT_MAX);
		t.spawn_site.function = row_text(&r);
		t.spawn_site.file = row_text(&r);
		t.spawn_site.line = row_int(&r, INT_MIN, INT_MAX);
		t.parent = row_ref(&r);
		t.state = row_text(&r);
		t.waiting_on = row_text(&r);
		t.awaits = row_ref(&r);
		t.created_ns = row_u64(&r);
		t.ended_ns = row_u64(&r);
		t.steps = row_u64(&r);
		t.run_ns = row_u64(&r);
		t.max_step_ns = row_u64(&r);
		t.ready_wait = row_histogram(&r, &ready_wait);
		GIVE(&r, fn, &t, arg);
	}
	return row_done(&r);
}

/* A cause of a later version counts as "other", so that the split still sums. */
static int get_cause(struct row *r)
{
	int cause = row_int(r, 0, INT_MAX);

	return cause < LSC_CAUSE_COUNT ? cause : LSC_CAUSE_OTHER;
}

static int read_split(struct row *split, int64_t stall, uint64_t ns[LSC_CAUSE_COUNT])
{
	if (!split->error)
		split->error = store_errno(sqlite3_bind_int64(split->st, 1, stall));
	while (row_next(split)) {
		int cause = get_cause(split);
		ns[cause] += row_u64(split);
	}
	if (split->st)
		sqlite3_reset(split->st);
	return split->error;
}

int store_each_stall(struct store *s, store_stall_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM stall ORDER BY start_ns, id");
	struct row split = row_query(s, "SELECT cause, ns FROM stall_split WHERE stall = ?");

	while (row_next(&r)) {
		struct store_stall t = {.id = row_id(&r)};
		t.loop = row_ref(&r);
		t.start_ns = row_u64(&r);
		t.duration_ns = row_u64(&r);
		t.duration_min_ns = row_u64(&r);
		t.duration_max_ns = row_u64(&r);
		t.mode = row_int(&r, 0, INT_MAX);
		t.in_progress = row_int(&r, 0, 1);
		t.inferred = row_int(&r, 0, 1);
		t.task = row_ref(&r);
		t.stack = row_ref(&r);
		GIVE(&r, read_split, &split, t.id, t.split);
		GIVE(&r, fn, &t, arg);
	}
	row_done(&split);
	return row_done(&r);
}

int store_each_culprit(struct store *s, store_culprit_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM culprit ORDER BY stall, task");

	while (row_next(&r)) {
		struct store_culprit c = {.stall = row_id(&r)};
		c.task = row_id(&r);
		c.ns = row_u64(&r);
		GIVE(&r, fn, &c, arg);
	}
	return row_done(&r);
}

int store_each_block(struct store *s, store_block_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM block ORDER BY start_ns, id");

	while (row_next(&r)) {
		struct store_block b = {.id = row_id(&r)};
		b.loop = row_ref(&r);
		b.stall = row_ref(&r);
		b.task = row_ref(&r);
		b.start_ns = row_u64(&r);
		b.duration_ns = row_u64(&r);
		b.count = row_u64(&r);
		b.syscall = row_text(&r);
		b.cause = get_cause(&r);
		b.inferred = row_int(&r, 0, 1);
		b.args_json = row_text(&r);
		b.resource_kind = row_text(&r);
		b.path = row_text(&r);
		b.peer = row_text(&r);
		b.proto = row_text(&r);
		b.resource_pid = row_int(&r, INT_MIN, INT_MAX);
		b.resource_comm = row_text(&r);
		b.requested_ns = row_u64(&r);
		b.owner_tid = row_int(&r, INT_MIN, INT_MAX);
		b.owner_comm = row_text(&r);
		b.owner_stack = row_ref(&r);
		b.waker_pid = row_int(&r, INT_MIN, INT_MAX);
		b.waker_comm = row_text(&r);
		b.stack = row_ref(&r);
		b.kernel_stack = row_ref(&r);
		GIVE(&r, fn, &b, arg);
	}
	return row_done(&r);
}

int store_each_sample(struct store *s, store_sample_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT loop, stall, task, ts_ns, ns, kernel, stack FROM sample"
				    " ORDER BY ts_ns, id");

	while (row_next(&r)) {
		struct store_sample p = {.loop = row_ref(&r)};
		p.stall = row_ref(&r);
		p.task = row_ref(&r);
		p.ts_ns = row_u64(&r);
		p.ns = row_u64(&r);
		p.kernel = row_int(&r, 0, 1);
		p.stack = row_ref(&r);
		GIVE(&r, fn, &p, arg);
	}
	return row_done(&r);
}

int store_each_wait(struct store *s, store_wait_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM wait ORDER BY ready_ns, id");

	while (row_next(&r)) {
		struct store_wait w = {.id = row_id(&r)};
		w.loop = row_ref(&r);
		w.kind = row_int(&r, 0, INT_MAX);
		w.task = row_ref(&r);
		w.fd = row_int(&r, INT_MIN, INT_MAX);
		w.peer = row_text(&r);
		w.name = row_text(&r);
		w.ready_ns = row_u64(&r);
		w.wait_ns = row_u64(&r);
		GIVE(&r, fn, &w, arg);
	}
	return row_done(&r);
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
	const char *text = row_text(r);

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
	while (row_next(r)) {
		if (f->n == STORE_FRAMES_MAX) {
			row_damaged(r);
			break;
		}
		struct store_frame *to = &f->frame[f->n++];
		to->lang = row_int(r, 0, INT_MAX);
		to->function = keep_text(r, f);
		to->file = keep_text(r, f);
		to->line = row_int(r, INT_MIN, INT_MAX);
		to->module = keep_text(r, f);
		to->build_id = keep_text(r, f);
		to->offset = row_u64(r);
		to->inlined = row_int(r, 0, 1);
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
	struct row r = row_query(s, "SELECT * FROM stack ORDER BY id");
	struct row frames =
		row_query(s, "SELECT lang, function, file, line, module, build_id, offset, inlined"
			     " FROM frame WHERE stack = ? ORDER BY depth");
	while (row_next(&r)) {
		struct store_stack t = {.id = row_id(&r), .frames = f->frame};
		t.truncated = row_int(&r, 0, 1);
		GIVE(&r, read_frames, &frames, t.id, f);
		t.nframes = f->n;
		GIVE(&r, fn, &t, arg);
	}
	drop_frames(f);
	free(f);
	row_done(&frames);
	return row_done(&r);
}

int store_each_chunk(struct store *s, store_chunk_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM chunk ORDER BY first_ns, id");

	while (row_next(&r)) {
		struct store_chunk c = {.id = row_id(&r)};
		c.loop = row_ref(&r);
		c.first_ns = row_u64(&r);
		c.last_ns = row_u64(&r);
		c.count = row_u64(&r);
		c.data = sqlite3_column_blob(r.st, r.column);
		c.size = (size_t)sqlite3_column_bytes(r.st, r.column);
		if (c.size > CHUNK_MAX_BYTES || c.count > c.size)
			row_damaged(&r);
		GIVE(&r, fn, &c, arg);
	}
	return row_done(&r);
}

int store_each_mode(struct store *s, store_mode_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT loop, from_ns, to_ns, mode FROM mode ORDER BY id");

	while (row_next(&r)) {
		struct store_mode_span m = {.loop = row_ref(&r)};
		m.from_ns = row_u64(&r);
		m.to_ns = row_u64(&r);
		m.mode = row_int(&r, 0, INT_MAX);
		GIVE(&r, fn, &m, arg);
	}
	return row_done(&r);
}

int store_each_step(struct store *s, store_step_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT ts_ns, what FROM step ORDER BY id");

	while (row_next(&r)) {
		uint64_t ts_ns = row_u64(&r);
		const char *what = row_text(&r);
		GIVE(&r, fn, ts_ns, what, arg);
	}
	return row_done(&r);
}

int store_each_mark(struct store *s, store_mark_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT loop, task, ts_ns, text FROM mark ORDER BY ts_ns, id");

	while (row_next(&r)) {
		struct store_mark m = {.loop = row_ref(&r)};
		m.task = row_ref(&r);
		m.ts_ns = row_u64(&r);
		m.text = row_text(&r);
		GIVE(&r, fn, &m, arg);
	}
	return row_done(&r);
}

int store_each_counter(struct store *s, store_counter_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM counter ORDER BY id");

	while (row_next(&r)) {
		struct store_counter c = {.id = row_id(&r)};
		c.loop = row_ref(&r);
		c.name = row_text(&r);
		c.count = row_u64(&r);
		c.first_ns = row_u64(&r);
		c.last_ns = row_u64(&r);
		c.last = (int64_t)row_u64(&r);
		c.min = (int64_t)row_u64(&r);
		c.max = (int64_t)row_u64(&r);
		GIVE(&r, fn, &c, arg);
	}
	return row_done(&r);
}

int store_each_site_stack(struct store *s, store_site_stack_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT * FROM site_stack ORDER BY id");

	while (row_next(&r)) {
		struct store_site_stack t = {.id = row_id(&r)};
		t.loop = row_ref(&r);
		t.site.function = row_text(&r);
		t.site.file = row_text(&r);
		t.site.line = row_int(&r, INT_MIN, INT_MAX);
		t.used = row_u64(&r);
		t.size = row_u64(&r);
		GIVE(&r, fn, &t, arg);
	}
	return row_done(&r);
}

int store_each_loss(struct store *s, store_loss_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT id, n FROM loss WHERE n > 0 ORDER BY id");

	while (row_next(&r)) {
		int reason = row_int(&r, 0, INT_MAX);
		uint64_t n = row_u64(&r);
		GIVE(&r, fn, (enum lsc_loss)reason, n, arg);
	}
	return row_done(&r);
}

int store_each_unseen(struct store *s, store_unseen_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT what, why FROM unseen ORDER BY what, why");

	while (row_next(&r)) {
		const char *what = row_text(&r);
		const char *why = row_text(&r);
		GIVE(&r, fn, what, why, arg);
	}
	return row_done(&r);
}

int store_each_unresolved(struct store *s, store_unresolved_fn *fn, void *arg)
{
	struct row r = row_query(s, "SELECT what, why, n FROM unresolved ORDER BY what, why");

	while (row_next(&r)) {
		const char *what = row_text(&r);
		const char *why = row_text(&r);
		uint64_t n = row_u64(&r);
		GIVE(&r, fn, what, why, n, arg);
	}
	return row_done(&r);
}
