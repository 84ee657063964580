/* SPDX-License-Identifier: MIT */
/*
 * Rows from the store into arrays, in bounds: a hostile or very long capture must not take the
 * reader's memory. Rows beyond a bound are counted into `unseen`.
 */
#include "analysis/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "chunk.h"

#define STEP_MIN_NS LSC_NS_PER_MS /* shorter steps let nobody wait long enough to be recorded */
#define FRAMES_MAX  1024	  /* of one stack */

enum bound {
	BOUND_TARGETS,
	BOUND_LOOPS,
	BOUND_TASKS,
	BOUND_STALLS,
	BOUND_STACKS,
	BOUND_BLOCKS,
	BOUND_SAMPLES,
	BOUND_CULPRITS,
	BOUND_WAITS,
	BOUND_MARKS,
	BOUND_COUNTERS,
	BOUND_STACK_USES,
	BOUND_MODES,
	BOUND_STEPS,
	BOUND_COUNT,
};

static const struct {
	const char *what;
	size_t max;
} bounds[BOUND_COUNT] = {
	[BOUND_TARGETS] = {"targets", 10000},	 [BOUND_LOOPS] = {"loops", 10000},
	[BOUND_TASKS] = {"tasks", 200000},	 [BOUND_STALLS] = {"stalls", 50000},
	[BOUND_STACKS] = {"stacks", 200000},	 [BOUND_BLOCKS] = {"blocks", 500000},
	[BOUND_SAMPLES] = {"samples", 1000000},	 [BOUND_CULPRITS] = {"culprits", 500000},
	[BOUND_WAITS] = {"ready waits", 500000}, [BOUND_MODES] = {"mode changes", 10000},
	[BOUND_STEPS] = {"long steps", 500000},	 [BOUND_MARKS] = {"marks", 200000},
	[BOUND_COUNTERS] = {"counters", 10000},	 [BOUND_STACK_USES] = {"uses of stacks", 10000},
};

struct running { /* the step that is open on a loop while its chunks are read */
	int64_t task;
	uint64_t since_ns;
};

struct load {
	struct analysis *a;
	uint64_t omitted[BOUND_COUNT];
	struct running *running; /* parallel to a->loops */
	size_t loop;		 /* of the chunk that is being read */
	uint64_t damaged_chunks;
};

void *rows_push(void *rows, size_t *n, size_t size)
{
	void **at = rows;

	if ((*n & (*n - 1)) == 0) {
		void *more = reallocarray(*at, *n ? *n * 2 : 1, size);

		if (!more)
			return NULL;
		*at = more;
	}
	return (char *)*at + (*n)++ * size;
}

/* Whether there is room for one more; counts the row otherwise. */
static bool fits(struct load *l, enum bound b, size_t n)
{
	if (n < bounds[b].max)
		return true;
	l->omitted[b]++;
	return false;
}

static int keep(struct analysis *a, const char **const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = arena_keep(&a->arena, texts[i]);

		if (r < 0)
			return r;
	}
	return 0;
}
#define KEEP(a, ...)                                                                               \
	keep(a, (const char **const[]){__VA_ARGS__},                                               \
	     sizeof((const char **const[]){__VA_ARGS__}) / sizeof(const char **))

static int on_target(const struct store_target *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_TARGETS, l->a->ntargets))
		return 0;
	struct store_target *t = rows_push(&l->a->targets, &l->a->ntargets, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	return KEEP(l->a, &t->comm, &t->exe, &t->runtime, &t->runtime_version, &t->cgroup);
}

static int on_loop(const struct store_loop *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_LOOPS, l->a->nloops))
		return 0;
	struct store_loop *t = rows_push(&l->a->loops, &l->a->nloops, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	if (row->lag) {
		struct lsc_histogram *lag = arena_alloc(&l->a->arena, 1, sizeof(*lag));

		if (!lag)
			return -ENOMEM;
		*lag = *row->lag;
		t->lag = lag;
	}
	return KEEP(l->a, &t->comm, &t->runtime, &t->wait_syscall);
}

static int on_task(const struct store_task *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_TASKS, l->a->ntasks))
		return 0;
	struct analysis_task *t = rows_push(&l->a->tasks, &l->a->ntasks, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct analysis_task){.row = *row, .has_ready_wait = row->ready_wait};
	t->row.ready_wait = NULL;
	if (row->ready_wait) {
		t->ready_p50_ns = lsc_hist_quantile(row->ready_wait, 0.5);
		t->ready_p99_ns = lsc_hist_quantile(row->ready_wait, 0.99);
		t->ready_max_ns = row->ready_wait->max_ns;
		t->ready_total_ns = row->ready_wait->sum_ns;
	}
	return KEEP(l->a, &t->row.name, &t->row.spawn_site.function, &t->row.spawn_site.file,
		    &t->row.state, &t->row.waiting_on);
}

static int on_stall(const struct store_stall *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_STALLS, l->a->nstalls))
		return 0;
	struct analysis_stall *t = rows_push(&l->a->stalls, &l->a->nstalls, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct analysis_stall){.row = *row};
	if ((unsigned)t->row.mode > STORE_MODE_RING)
		t->row.mode = STORE_MODE_DEFAULT;
	return 0;
}

static int on_block(const struct store_block *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_BLOCKS, l->a->nblocks))
		return 0;
	struct analysis_block *t = rows_push(&l->a->blocks, &l->a->nblocks, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct analysis_block){.row = *row, .stall = ANALYSIS_NONE};
	struct store_block *b = &t->row;
	if ((unsigned)b->cause >= LSC_CAUSE_COUNT)
		b->cause = LSC_CAUSE_OTHER; /* of a newer loopscope */
	return KEEP(l->a, &b->syscall, &b->args_json, &b->resource_kind, &b->path, &b->peer,
		    &b->proto, &b->resource_comm, &b->owner_comm, &b->waker_comm);
}

/* The place of one without a name stands for it. */
static int name_site(struct analysis *a, struct site *site)
{
	char name[256];

	if (!site->rank || site->function)
		return 0;
	snprintf(name, sizeof(name), "%s+0x%llx", basename(site->module),
		 (unsigned long long)site->offset);
	site->function = name;
	return KEEP(a, &site->function);
}

static int on_stack(const struct store_stack *row, void *arg)
{
	struct load *l = arg;
	size_t n = row->nframes < FRAMES_MAX ? row->nframes : FRAMES_MAX;

	if (!fits(l, BOUND_STACKS, l->a->nstacks))
		return 0;
	struct analysis_stack *t = rows_push(&l->a->stacks, &l->a->nstacks, sizeof(*t));
	struct store_frame *frames = arena_alloc(&l->a->arena, n, sizeof(*frames));
	if (!t || !frames)
		return -ENOMEM;
	*t = (struct analysis_stack){.row = *row};
	t->row.frames = frames;
	t->row.nframes = n;
	t->row.truncated |= n < row->nframes;
	for (size_t i = 0; i < n; i++) {
		frames[i] = row->frames[i];
		if ((unsigned)frames[i].lang > STORE_LANG_KERNEL)
			frames[i].lang = STORE_LANG_NATIVE;
		int r = KEEP(l->a, &frames[i].function, &frames[i].file, &frames[i].module,
			     &frames[i].build_id);
		if (r < 0)
			return r;
	}
	site_find(&t->row, &t->site);
	return name_site(l->a, &t->site);
}

static int on_sample(const struct store_sample *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_SAMPLES, l->a->nsamples))
		return 0;
	struct analysis_sample *t = rows_push(&l->a->samples, &l->a->nsamples, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct analysis_sample){.row = *row, .stall = ANALYSIS_NONE};
	return 0;
}

static int on_culprit(const struct store_culprit *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_CULPRITS, l->a->nculprits))
		return 0;
	struct store_culprit *t = rows_push(&l->a->culprits, &l->a->nculprits, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	return 0;
}

static int on_wait(const struct store_wait *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_WAITS, l->a->nwaits))
		return 0;
	struct store_wait *t = rows_push(&l->a->waits, &l->a->nwaits, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	if ((unsigned)t->kind > STORE_WAIT_TIMER)
		t->kind = STORE_WAIT_TASK;
	return KEEP(l->a, &t->peer, &t->name);
}

static int on_mark(const struct store_mark *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_MARKS, l->a->nmarks))
		return 0;
	struct store_mark *t = rows_push(&l->a->marks, &l->a->nmarks, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	return KEEP(l->a, &t->text);
}

static int on_counter(const struct store_counter *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_COUNTERS, l->a->ncounters))
		return 0;
	struct store_counter *t = rows_push(&l->a->counters, &l->a->ncounters, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	return KEEP(l->a, &t->name);
}

static int on_site_stack(const struct store_site_stack *row, void *arg)
{
	struct load *l = arg;
	const struct store_loop *loop = analysis_loop_of(l->a, row->loop);

	if (!fits(l, BOUND_STACK_USES, l->a->nstack_uses))
		return 0;
	struct stack_use *t = rows_push(&l->a->stack_uses, &l->a->nstack_uses, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct stack_use){loop ? loop->target : 0, row->site, row->used, row->size};
	return KEEP(l->a, &t->site.function, &t->site.file);
}

static int on_mode(const struct store_mode_span *row, void *arg)
{
	struct load *l = arg;

	if (!fits(l, BOUND_MODES, l->a->nmodes))
		return 0;
	struct store_mode_span *t = rows_push(&l->a->modes, &l->a->nmodes, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = *row;
	if ((unsigned)t->mode > STORE_MODE_RING)
		t->mode = STORE_MODE_DEFAULT;
	return 0;
}

static int on_transition(const struct chunk_event *e, void *arg)
{
	struct load *l = arg;
	struct running *run = &l->running[l->loop];

	switch (e->kind) {
	case CHUNK_TASK_RUN:
		run->task = e->task;
		run->since_ns = e->ts_ns;
		return 0;
	case CHUNK_TASK_SUSPEND:
	case CHUNK_TASK_DONE:
		break;
	default:
		return 0;
	}
	if (run->task && run->task == e->task && e->ts_ns > run->since_ns &&
	    e->ts_ns - run->since_ns >= STEP_MIN_NS && fits(l, BOUND_STEPS, l->a->nsteps)) {
		struct step *t = rows_push(&l->a->steps, &l->a->nsteps, sizeof(*t));

		if (!t)
			return -ENOMEM;
		*t = (struct step){l->a->loops[l->loop].id, run->task, run->since_ns, e->ts_ns};
	}
	run->task = 0;
	return 0;
}

static int on_chunk(const struct store_chunk *row, void *arg)
{
	struct load *l = arg;

	const struct store_loop *loop = analysis_loop_of(l->a, row->loop);

	if (!loop)
		return 0;
	l->loop = (size_t)(loop - l->a->loops);
	int r = chunk_each(row->data, row->size, on_transition, l);
	if (r != -EBADMSG)
		return r;
	l->damaged_chunks++;
	l->running[l->loop].task = 0;
	return 0;
}

int load_unseen(struct analysis *a, const char *what, const char *why, uint64_t n)
{
	struct named *t = rows_push(&a->unseen, &a->nunseen, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct named){what, why, n};
	return KEEP(a, &t->what, &t->why);
}

static int note_omitted(struct load *l)
{
	for (size_t b = 0; b < BOUND_COUNT; b++) {
		if (!l->omitted[b])
			continue;
		const char *why =
			arena_printf(&l->a->arena, "the capture holds %llu more than the %zu read",
				     (unsigned long long)l->omitted[b], bounds[b].max);
		if (!why)
			return -ENOMEM;
		int r = load_unseen(l->a, bounds[b].what, why, l->omitted[b]);
		if (r < 0)
			return r;
	}
	if (!l->damaged_chunks)
		return 0;
	return load_unseen(l->a, "task transitions", "some packed transitions are damaged",
			   l->damaged_chunks);
}

int load_rows(struct store *s, struct analysis *a)
{
	struct load l = {.a = a};
	int r = store_each_target(s, on_target, &l);

	if (!r)
		r = store_each_loop(s, on_loop, &l);
	if (!r)
		r = store_each_task(s, on_task, &l);
	if (!r)
		r = store_each_stack(s, on_stack, &l);
	if (!r)
		r = store_each_stall(s, on_stall, &l);
	if (!r)
		r = store_each_block(s, on_block, &l);
	if (!r)
		r = store_each_sample(s, on_sample, &l);
	if (!r)
		r = store_each_culprit(s, on_culprit, &l);
	if (!r)
		r = store_each_wait(s, on_wait, &l);
	if (!r)
		r = store_each_mark(s, on_mark, &l);
	if (!r)
		r = store_each_counter(s, on_counter, &l);
	if (!r)
		r = store_each_site_stack(s, on_site_stack, &l);
	if (!r)
		r = store_each_mode(s, on_mode, &l);
	if (!r && a->nloops) {
		l.running = calloc(a->nloops, sizeof(*l.running));
		r = l.running ? store_each_chunk(s, on_chunk, &l) : -ENOMEM;
		free(l.running);
	}
	return r ? r : note_omitted(&l);
}
