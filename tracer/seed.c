/* SPDX-License-Identifier: MIT */
/* By the system call and its arguments alone. */
#include "seed.h"

#include "event.h"

bool seed_idles(const struct target_thread *t)
{
	switch (t->nr) {
	case NR_POLL:
	case NR_PPOLL:
		return t->args[1] >= 2;
	case NR_SELECT:
	case NR_PSELECT6:
		return t->args[0] >= 2;
	default:
		return probe_wait_class(t->nr) == WAIT_EPOLL;
	}
}

bool seed_parks(const struct target_thread *t, int pid)
{
	__u64 call[3] = {t->args[0], t->args[1], t->args[2]};

	return t->nr == NR_FUTEX && t->tid != pid && !probe_futex_is_lock(call);
}

int seed_set(const struct target_thread *t)
{
	return probe_wait_class(t->nr) == WAIT_EPOLL ? (int)t->args[0] : -1;
}
