/* SPDX-License-Identifier: MIT */
/*
 * The frames of Python of a thread that runs, taken with its stack in the sampler: later they are
 * others. A thread that runs code of Python holds the GIL, so the lock names its state. What is
 * read are addresses and numbers, of no use to anybody until user space has checked each of them.
 */
#ifndef LSC_PROBES_PYTHON_H
#define LSC_PROBES_PYTHON_H

#include "gil.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_python);
} python_chain SEC(".maps");

static __always_inline __u64 read_pointer(__u64 address)
{
	__u64 p = 0;

	bpf_probe_read_user(&p, sizeof(p), (void *)address);
	return p;
}

/* One frame; the next one's address, 0 the outermost. */
static __always_inline __u64 python_frame(const struct python_place *p, __u64 at,
					  struct python_frame *f)
{
	__s32 index = -1;

	f->address = at;
	f->owner = f->entry = 0;
	f->code = read_pointer(at + p->frame_code) & ~7ull; /* tagged since 3.14 */
	if (p->frame_owner) {
		f->instr = read_pointer(at + p->frame_instr);
		bpf_probe_read_user(&f->owner, sizeof(f->owner), (void *)(at + p->frame_owner));
	} else {
		bpf_probe_read_user(&index, sizeof(index), (void *)(at + p->frame_instr));
		f->instr = index;
	}
	if (p->frame_entry)
		bpf_probe_read_user(&f->entry, sizeof(f->entry), (void *)(at + p->frame_entry));
	f->name = read_pointer(f->code + p->code_name);
	f->first = 0;
	bpf_probe_read_user(&f->first, sizeof(f->first), (void *)(f->code + p->code_first));
	return read_pointer(at + p->frame_previous);
}

/* Tells the frames of the current thread, ahead of its sample of the same moment. */
__noinline int python_sample(__u64 id, __u64 now)
{
	__u32 tgid = id >> 32, zero = 0, n = 0;
	struct gil_place *g = bpf_map_lookup_elem(&gils, &tgid);
	struct event_python *e = bpf_map_lookup_elem(&python_chain, &zero);

	if (!g || !e || !g->holder || !g->python.code_name)
		return 0;
	__u64 state = gil_holder(g->holder), at = state;
	if (!state || gil_number(g, state, &e->ns_tid))
		return 0;
	if (g->python.state_cframe)
		at = read_pointer(state + g->python.state_cframe);
	at = read_pointer(at + g->python.state_frame);
#pragma clang loop unroll(disable)
	for (int i = 0; i < PYTHON_FRAMES; i++) {
		if (!at)
			break;
		at = python_frame(&g->python, at, &e->frames[i]);
		n = i + 1;
	}
	e->e.kind = EVENT_PYTHON;
	e->e.ts_ns = now;
	e->e.tgid = tgid;
	e->e.tid = id;
	e->count = n;
	e->cut = at != 0;
	__u64 size = sizeof(*e) - (PYTHON_FRAMES - n) * sizeof(e->frames[0]);
	e->e.size = size;
	if (n && size <= sizeof(*e))
		bpf_ringbuf_output(&events, e, size, wakeup_flags());
	return 0;
}

#endif
