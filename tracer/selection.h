/* SPDX-License-Identifier: MIT */
/*
 * Which processes of the host are meant when they are named by their comm or their control group,
 * at the attach and later. Resolved here and not by the client, which may see less of the host.
 */
#ifndef LSC_SELECTION_H
#define LSC_SELECTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct selection;

/* names: comms, of which the first 15 bytes count. cgroup: a directory below a mount of cgroup v1
 * or v2, or a path as in /proc/PID/cgroup, or NULL; its descendants are meant too. -EINVAL: a name
 * or path that can mean nothing; -ENOENT: no such control group. Gives *ret_selection, NULL when
 * neither is given. */
int selection_new(const char *const *names, size_t nnames, const char *cgroup,
		  struct selection **ret_selection, struct lsc_err *err);
/* NULL is fine. Returns NULL. */
struct selection *selection_free(struct selection *s);

/* Calls fn for processes that are meant: at least once for each, soon after it came to be or took
 * the name; perhaps again. Never for this process. */
typedef void selection_found_fn(int pid, void *arg);
void selection_scan(struct selection *s, uint64_t now_ns, selection_found_fn *fn, void *arg);

/* What is meant, for a line to the person: "named 'redis-server'". Borrowed. */
const char *selection_text(const struct selection *s);

#endif
