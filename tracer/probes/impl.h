/* SPDX-License-Identifier: MIT */
/* What probe.c and thread.c share. */
#ifndef LSC_PROBES_IMPL_H
#define LSC_PROBES_IMPL_H

#include <stdbool.h>

#include "clock.h"
#include "hook.h"
#include "probe.h"
#include "victim.h"

#define MAX_CPUS    1024
#define SLOTS_BYTES (PROBE_SLOTS * sizeof(struct thread_state))

struct probe {
	struct sched_bpf *skel;
	struct ring_buffer *ring;
	struct thread_state *slots; /* PROBE_SLOTS, shared with the kernel side */
	struct hooks hooks;
	struct bpf_link *precise, *waking;
	bool exact; /* returns from waits are hooked by fexit */
	struct probe_victims victims;
	struct bpf_link *samplers[MAX_CPUS];
	int sampler_fds[MAX_CPUS]; /* owned by the links */
	int nsamplers;
	bool often;
	probe_event_fn *fn;
	void *arg;
	unsigned turn; /* events taken in this turn */
};

#endif
