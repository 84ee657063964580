/* SPDX-License-Identifier: MIT */
/* Putting rows: a function for each table, its columns in their order. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chunk.h"
#include "put.h"

int store_meta_put(struct store *s, const char *key, const char *value)
{
	struct put r = put_begin(s, STATEMENT_META);

	put_required(&r, key);
	put_required(&r, value);
	return put_end(&r, true);
}

int store_meta_put_int(struct store *s, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return store_meta_put(s, key, text);
}

int store_put_target(struct store *s, const struct store_target *row)
{
	struct put r = put_begin(s, STATEMENT_TARGET);

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
	return put_end(&r, true);
}

int store_put_loop(struct store *s, const struct store_loop *row)
{
	struct put r = put_begin(s, STATEMENT_LOOP);
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
	return put_end(&r, true);
}

int store_put_task(struct store *s, const struct store_task *row)
{
	struct put r = put_begin(s, STATEMENT_TASK);
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
	return put_end(&r, false);
}

int store_put_stall(struct store *s, const struct store_stall *row)
{
	struct put r = put_begin(s, STATEMENT_STALL);

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
	if (put_end(&r, false))
		return r.error;
	r = put_begin(s, STATEMENT_STALL_SPLIT_CLEAR);
	put_id(&r, row->id);
	put_run(&r);
	for (int i = 0; !r.error && i < LSC_CAUSE_COUNT; i++) {
		if (!row->split[i])
			continue;
		r = put_begin(s, STATEMENT_STALL_SPLIT);
		put_id(&r, row->id);
		put_i64(&r, i);
		put_u64(&r, row->split[i]);
		put_run(&r);
	}
	return r.error;
}

int store_put_culprit(struct store *s, const struct store_culprit *row)
{
	struct put r = put_begin(s, STATEMENT_CULPRIT);

	put_id(&r, row->stall);
	put_id(&r, row->task);
	put_u64(&r, row->ns);
	return put_end(&r, false);
}

int store_put_block(struct store *s, const struct store_block *row)
{
	struct put r = put_begin(s, STATEMENT_BLOCK);
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
	return put_end(&r, false);
}

int store_put_sample(struct store *s, const struct store_sample *row)
{
	struct put r = put_begin(s, STATEMENT_SAMPLE);

	put_ref(&r, row->loop);
	put_ref(&r, row->stall);
	put_ref(&r, row->task);
	put_u64(&r, row->ts_ns);
	put_u64(&r, row->ns);
	put_i64(&r, row->kernel);
	put_ref(&r, row->stack);
	return put_end(&r, false);
}

int store_put_wait(struct store *s, const struct store_wait *row)
{
	struct put r = put_begin(s, STATEMENT_WAIT);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_i64(&r, row->kind);
	put_ref(&r, row->task);
	put_i64(&r, row->fd);
	put_text(&r, row->peer);
	put_text(&r, row->name);
	put_u64(&r, row->ready_ns);
	put_u64(&r, row->wait_ns);
	return put_end(&r, false);
}

static void put_frame(struct put *r, const struct store_stack *stack, size_t depth)
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
	put_address(r, f->offset);
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
	struct put r = put_begin(s, STATEMENT_STACK);

	if (row->nframes > STORE_FRAMES_MAX)
		return -EINVAL;
	put_id(&r, row->id);
	put_i64(&r, row->truncated);
	for (size_t i = 0; i < row->nframes; i++)
		r.bytes += frame_bytes(&row->frames[i]);
	if (put_end(&r, false))
		return r.error;
	r = put_begin(s, STATEMENT_FRAME_CLEAR);
	put_id(&r, row->id);
	put_run(&r);
	for (size_t i = 0; !r.error && i < row->nframes; i++) {
		r = put_begin(s, STATEMENT_FRAME);
		put_frame(&r, row, i);
		put_run(&r);
	}
	return r.error;
}

int store_put_chunk(struct store *s, const struct store_chunk *row)
{
	struct put r = put_begin(s, STATEMENT_CHUNK);

	if (row->size > CHUNK_MAX_BYTES)
		return -EINVAL;
	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	put_u64(&r, row->count);
	put_blob(&r, row->data, row->size);
	return put_end(&r, false);
}

int store_put_mode(struct store *s, const struct store_mode_span *row)
{
	struct put r = put_begin(s, STATEMENT_MODE);

	put_ref(&r, row->loop);
	put_u64(&r, row->from_ns);
	put_u64(&r, row->to_ns);
	put_i64(&r, row->mode);
	return put_end(&r, true);
}

int store_put_step(struct store *s, uint64_t ts_ns, const char *what)
{
	struct put r = put_begin(s, STATEMENT_STEP);

	put_u64(&r, ts_ns);
	put_required(&r, what);
	return put_end(&r, true);
}

int store_put_mark(struct store *s, const struct store_mark *row)
{
	struct put r = put_begin(s, STATEMENT_MARK);

	put_ref(&r, row->loop);
	put_ref(&r, row->task);
	put_u64(&r, row->ts_ns);
	put_text(&r, row->text);
	return put_end(&r, false);
}

int store_put_counter(struct store *s, const struct store_counter *row)
{
	struct put r = put_begin(s, STATEMENT_COUNTER);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_required(&r, row->name);
	put_u64(&r, row->count);
	put_u64(&r, row->first_ns);
	put_u64(&r, row->last_ns);
	put_i64(&r, row->last);
	put_i64(&r, row->min);
	put_i64(&r, row->max);
	return put_end(&r, false);
}

int store_put_site_stack(struct store *s, const struct store_site_stack *row)
{
	struct put r = put_begin(s, STATEMENT_SITE_STACK);

	put_id(&r, row->id);
	put_ref(&r, row->loop);
	put_text(&r, row->site.function);
	put_text(&r, row->site.file);
	put_i64(&r, row->site.line);
	put_u64(&r, row->used);
	put_u64(&r, row->size);
	return put_end(&r, false);
}

int store_put_loss(struct store *s, enum lsc_loss reason, uint64_t n)
{
	struct put r = put_begin(s, STATEMENT_LOSS);

	if ((int)reason < 0 || reason >= LSC_LOSS_COUNT)
		return -EINVAL;
	put_i64(&r, reason);
	put_text(&r, lsc_loss_name(reason));
	put_count(&r, n);
	return put_end(&r, true);
}

int store_put_unseen(struct store *s, const char *what, const char *why)
{
	struct put r = put_begin(s, STATEMENT_UNSEEN);

	put_required(&r, what);
	put_required(&r, why);
	return put_end(&r, true);
}

int store_add_unresolved(struct store *s, const char *what, const char *why, uint64_t n)
{
	struct put r = put_begin(s, STATEMENT_UNRESOLVED);

	put_required(&r, what);
	put_required(&r, why);
	put_count(&r, n);
	return put_end(&r, true);
}
