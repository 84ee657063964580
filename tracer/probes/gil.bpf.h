/* SPDX-License-Identifier: MIT */
/*
 * CPython's global interpreter lock: whether a futex belongs to it, and who holds it. The layout
 * comes from user space, which has checked it; what lies there is the target's to choose, and what
 * is read of it is a number that user space checks again.
 */
#ifndef LSC_PROBES_GIL_H
#define LSC_PROBES_GIL_H

#include "maps.bpf.h"

struct gil_words { /* as they lie in the lock */
	__u64 state;
	__u32 locked;
};

static __always_inline bool is_gil(__u32 tgid, __u64 futex)
{
	if (!have_gils)
		return false;
	struct gil_place *g = bpf_map_lookup_elem(&gils, &tgid);
	return g && futex >= g->begin && futex < g->end;
}

/* The thread state that holds the lock at address, 0 none. For a thread of the process alone. */
static __always_inline __u64 gil_holder(__u64 address)
{
	struct gil_words w;

	if (bpf_probe_read_user(&w, 12, (void *)address) || w.locked != 1)
		return 0;
	return w.state;
}

/* The number of the state's thread, as the target has it. */
static __always_inline long gil_number(const struct gil_place *g, __u64 state, __u32 *ret)
{
	__u64 at = state + g->id_offset;

	if (g->id_hop) {
		if (bpf_probe_read_user(&at, sizeof(at), (void *)at))
			return -1;
		at += g->id_hop;
	}
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)at);
}

/* Who holds the lock that the current thread starts to wait for. */
__noinline int gil_name(__u32 tgid, struct aux *aux)
{
	struct gil_place *g = bpf_map_lookup_elem(&gils, &tgid);
	__u32 number = 0;

	if (!g || !g->holder || !aux)
		return 0;
	__u64 state = gil_holder(g->holder);
	if (!state || gil_number(g, state, &number) || gil_holder(g->holder) != state)
		return 0;
	aux->gil.state = state;
	aux->gil.ns_tid = number;
	aux->type = AUX_GIL;
	return 0;
}

#endif
