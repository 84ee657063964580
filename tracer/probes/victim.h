/* SPDX-License-Identifier: MIT */
/*
 * Watching the sockets of a process while a loop of its is in a long tick, from user space. Part of
 * the base probes, which own it; armed and disarmed with the precise mode.
 */
#ifndef LSC_PROBES_VICTIM_H
#define LSC_PROBES_VICTIM_H

#include <stdbool.h>
#include <stdint.h>

struct sched_bpf;
struct bpf_link;
struct hooks;

struct probe_victims {
	struct sched_bpf *skel; /* borrows */
	struct hooks *hooks;	/* borrows */
	struct bpf_link *arrivals;
	bool supported;
};

/* Between open and load: leaves out what the kernel has no tracepoint for. */
void probe_victims_prepare(struct probe_victims *v, struct sched_bpf *skel, struct hooks *hooks);
/* Stamps what arrives in the sockets of the process from now on, and what is unread already, unless
 * it came before since_ns. Without look: only in those known from the last time. -ENOTSUP: the
 * kernel cannot tell. */
int probe_victims_watch(struct probe_victims *v, int pid, uint64_t since_ns, bool look);
/* No loop is in a long tick: what arrives from now on does not wait for one. */
void probe_victims_pause(struct probe_victims *v);
/* Something that was stamped has not been read. */
bool probe_victims_pending(const struct probe_victims *v);
/* Detaches and forgets the sockets. How many of them were never read. */
uint64_t probe_victims_end(struct probe_victims *v);

#endif
