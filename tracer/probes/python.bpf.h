/* SPDX-License-Identifier: MIT */
/*
 * The frames of Python of the current thread, and the task of asyncio that it is in: taken with a
 * sample, and at the begin of a block where a stall is known or expected, for later they are
 * others. What is read are addresses and numbers, of no use to anybody until user space has checked
 * each of them.
 */
#ifndef LSC_PROBES_PYTHON_H
#define LSC_PROBES_PYTHON_H

#include "expect.bpf.h"
#include "gil.bpf.h"

#define AREA	      127 /* of a frame, at most so much is read */
#define CODE_AREA     255 /* of a code object */
#define CODE_TYPE     8	  /* read from there on, to the last word of those that are told */
#define DICT_KEYS     32
#define PAIR_WORDS    3 /* hash, key, value */
#define TASKS	      5 /* pairs of a dictionary of the least size */
#define NUMBER_BYTES  32
#define TEXT_LENGTH   16
#define TEXT_STATE    32
#define TEXT_HEAD     40
#define TAKE_EVERY_NS 20000000ull

struct python_scratch {
	struct event_python e;
	__u8 frame[AREA + 9], code[CODE_AREA + 9]; /* a word may begin at any place of the area */
	__u64 pairs[TASKS * PAIR_WORDS];
	__u64 coros[TASKS]; /* the frames of these tasks' coroutines */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct python_scratch);
} python_chain SEC(".maps");

static __always_inline __u64 read_pointer(__u64 address)
{
	__u64 p = 0;

	bpf_probe_read_user(&p, sizeof(p), (void *)address);
	return p;
}

static __always_inline __u64 word_of(const __u8 *area, __u32 offset)
{
	return *(const __u64 *)(area + (offset & AREA));
}

static __always_inline __u64 code_word(const __u8 *area, __u32 offset)
{
	return *(const __u64 *)(area + ((offset - CODE_TYPE) & CODE_AREA));
}

/* One frame; the next one's address, 0 the outermost. What cannot be read is zero, which user space
 * takes for no code. */
static __always_inline __u64 python_frame(struct python_scratch *s, const struct python_place *p,
					  __u64 at, struct python_frame *f)
{
	bpf_probe_read_user(s->frame, p->frame_bytes & AREA, (void *)at);
	f->address = at;
	f->code = word_of(s->frame, p->frame_code) & ~7ull; /* tagged since 3.14 */
	f->instr = word_of(s->frame, p->frame_instr);
	f->owner = f->entry = 0;
	if (p->frame_owner)
		f->owner = s->frame[p->frame_owner & AREA];
	else
		f->instr = (__s64)(__s32)f->instr;
	if (p->frame_entry)
		f->entry = s->frame[p->frame_entry & AREA];
	__u32 end = p->code_table > p->code_name ? p->code_table : p->code_name;
	bpf_probe_read_user(s->code, end & CODE_AREA, (void *)(f->code + CODE_TYPE));
	f->type = code_word(s->code, CODE_TYPE);
	f->first = (__s32)code_word(s->code, p->code_first);
	f->name = code_word(s->code, p->code_name);
	f->file = code_word(s->code, p->code_file);
	f->table = code_word(s->code, p->code_table);
	return word_of(s->frame, p->frame_previous);
}

static __always_inline __u64 task_of_pair(const struct python_scratch *s, int i)
{
	return s->pairs[i * PAIR_WORDS + PAIR_WORDS - 1];
}

/* Of those that _asyncio has as current ones, of a few loops, the frames of their coroutines; since
 * 3.14 the state names its own. */
static __always_inline void python_tasks(struct python_scratch *s, const struct python_place *p,
					 __u64 state)
{
	__builtin_memset(s->pairs, 0, sizeof(s->pairs));
	if (p->state_task) {
		s->pairs[PAIR_WORDS - 1] = read_pointer(state + p->state_task);
	} else if (p->tasks) {
		__u64 keys = read_pointer(p->tasks + DICT_KEYS), size = read_pointer(keys + 8);
		__u64 at = p->frame_owner ? keys + 32 + (1ull << (size >> 8 & 31)) /* 3.11 */
					  : keys + 40 + size;
		bpf_probe_read_user(s->pairs, sizeof(s->pairs), (void *)at);
	}
	for (int i = 0; i < TASKS; i++) {
		__u64 task = task_of_pair(s, i);
		s->coros[i] = 0;
		if (!task)
			continue;
		s->coros[i] = read_pointer(task + p->task_coro) + p->gen_frame;
		if (!p->frame_owner) /* up to 3.10 a pointer */
			s->coros[i] = read_pointer(s->coros[i]);
	}
}

/* The bytes of a task's name, a text or a number, as far as they can be read. How many. */
static __always_inline __u64 python_name(const struct python_place *p, struct python_task *t)
{
	if (bpf_probe_read_user(t->bytes, TEXT_HEAD, (void *)t->name))
		return bpf_probe_read_user(t->bytes, NUMBER_BYTES, (void *)t->name) ? 0
										    : NUMBER_BYTES;
	__u64 length = *(__u64 *)(t->bytes + TEXT_LENGTH);
	__u32 state = *(__u32 *)(t->bytes + TEXT_STATE);
	__u64 size = (state & 1 << 6 ? p->text_ascii : p->text_wide) + length * (state >> 2 & 7);

	if (length > PYTHON_NAME_BYTES || size > PYTHON_NAME_BYTES)
		size = PYTHON_NAME_BYTES;
	asm volatile("" : "+r"(size)); /* keeps the check below on the register that is used */
	if (size > PYTHON_NAME_BYTES || bpf_probe_read_user(t->bytes, size, (void *)t->name))
		return TEXT_HEAD;
	return size;
}

/* The thread is in the innermost one whose coroutine is among its frames. */
static __always_inline void python_task(struct python_scratch *s, const struct python_place *p,
					__u32 mine)
{
	struct python_task *t = &s->e.task;

	t->address = 0;
	t->size = 0;
	if (mine >= TASKS)
		return;
	t->address = task_of_pair(s, mine);
	t->frame = s->coros[mine];
	t->name = read_pointer(t->address + p->task_name);
	t->size = python_name(p, t);
}

struct python_walk {
	struct python_scratch *s;
	const struct python_place *p;
	__u64 at;    /* the next frame; 0: there is none */
	__u64 outer; /* where the one before this run of the evaluator was; 0 unknown, or none */
	__u32 n;
	__u32 mine; /* of the tasks the one that it is in; TASKS: not met yet */
};

static long python_step(__u32 i, void *arg)
{
	struct python_walk *w = arg;

	if (i >= PYTHON_FRAMES || !w->at)
		return 1;
	if (w->at == w->outer)
		w->outer = 0;
	for (int k = 0; k < TASKS; k++)
		if (w->mine == TASKS && w->s->coros[k] == w->at)
			w->mine = k;
	w->at = python_frame(w->s, w->p, w->at, &w->s->e.frames[i]);
	w->n = i + 1;
	return 0;
}

static __always_inline void python_walk(struct python_walk *w, __u64 from)
{
	w->at = from;
	w->n = 0;
	w->mine = TASKS;
	bpf_loop(PYTHON_FRAMES, python_step, w, 0); /* its body is verified once */
}

/* 3.11 and 3.12 have the frame in a structure of each run, which the state names a few instructions
 * before the run has put its frame there: until then something else lies in that place, and does
 * not lead to the frame of the run before. */
static __always_inline void python_walk_runs(struct python_walk *w, __u64 state)
{
	__u64 run = read_pointer(state + w->p->state_cframe);
	__u64 before = read_pointer(run + w->p->state_frame + 8);
	__u64 outer = before ? read_pointer(before + w->p->state_frame) : 0;

	w->outer = outer;
	python_walk(w, read_pointer(run + w->p->state_frame));
	if (w->outer && !w->at)
		python_walk(w, outer);
}

/* Tells the frames of the current thread, of process id >> 32, for the thread (__u32)id: its own
 * sample, block or that of who waits for it. state is its thread state; 0 unknown: that of who
 * holds the GIL, whose number says whether it is the thread. The event's size, 0: unknown. */
__noinline int python_take(__u64 id, __u64 now, __u64 state, __u32 of_block)
{
	__u32 tgid = id >> 32, zero = 0;
	struct gil_place *g = bpf_map_lookup_elem(&gils, &tgid);
	struct python_scratch *s = bpf_map_lookup_elem(&python_chain, &zero);

	if (!g || !s || !g->holder || !g->python.code_name)
		return 0;
	if (!state)
		state = gil_holder(g->holder);
	if (!state || gil_number(g, state, &s->e.ns_tid))
		return 0;
	struct python_walk w = {.s = s, .p = &g->python};
	python_tasks(s, &g->python, state);
	if (g->python.state_cframe)
		python_walk_runs(&w, state);
	else
		python_walk(&w, read_pointer(state + g->python.state_frame));
	__u64 n = w.n;
	python_task(s, &g->python, w.mine);
	struct event_python *e = &s->e;
	e->e.kind = EVENT_PYTHON;
	e->e.ts_ns = now;
	e->e.tgid = tgid;
	e->e.tid = id;
	e->count = n;
	e->cut = w.at != 0;
	e->of_block = of_block;
	if (!n || n > PYTHON_FRAMES)
		return 0;
	/* not in memory just then; while it sleeps it can be looked at in another way */
	if (of_block && !e->frames[(n - 1) & (PYTHON_FRAMES - 1)].code)
		return 0;
	__u64 size = offsetof(struct event_python, frames) + n * sizeof(e->frames[0]);
	e->e.size = size;
	if (bpf_ringbuf_output(&events, e, size, wakeup_flags()))
		return 0;
	return size;
}

/* The current thread is sampled. It need not hold the GIL: much of what computes in C gives it
 * away. */
__noinline int python_sample(__u64 id, __u64 now)
{
	__u32 tid = id;
	struct python_thread *p = bpf_map_lookup_elem(&python_threads, &tid);

	return python_take(id, now, p ? p->state : 0, 0);
}

/* A block of a loop begins. Its frames are taken where a stall is expected, for it was long here
 * before, or known: the tick has lasted for half the threshold; then now and then. */
__noinline int python_block(struct thread_state *t, __u64 id)
{
	__u32 tid = id;
	struct python_thread *p = bpf_map_lookup_elem(&python_threads, &tid);

	if (!t || !p || !t->tick_ns)
		return 0;
	__u64 last = p->taken_ns > t->tick_ns ? p->taken_ns + TAKE_EVERY_NS : 0;
	if (!t->expected && (!stall_is_known(t) || t->off_ns < last))
		return 0;
	p->taken_ns = t->off_ns;
	t->chained = python_take(id, t->off_ns, p->state, 1) != 0;
	return 0;
}

#endif
