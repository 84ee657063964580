/* SPDX-License-Identifier: MIT */
/* The hooks on tracepoints that come and go, so that one is there at once when it is wanted again.
 */
#ifndef LSC_PROBES_HOOK_H
#define LSC_PROBES_HOOK_H

#include <stdbool.h>
#include <stdint.h>

struct bpf_link;
struct bpf_program;

struct hooks {
	uint64_t off_ns; /* when the last one was taken off; 0: none was */
	bool plain;	 /* this kernel, or these rights, do not let a grace period be hastened */
};

void hooks_init(struct hooks *h);
/* Attaches prog to its tracepoint. The caller owns the link; NULL with errno. */
struct bpf_link *hook_on(struct hooks *h, struct bpf_program *prog);
/* Takes it off and frees it. NULL is fine. Returns NULL. */
struct bpf_link *hook_off(struct hooks *h, struct bpf_link *link);

#endif
