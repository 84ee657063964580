/* SPDX-License-Identifier: MIT */
/* A loop is guessed at by the system call and its arguments alone. */
#include "seed.h"

#include <string.h>

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

int seed_place(struct probe *p, int pid, const struct target_thread *t, bool may_futex)
{
	struct probe_sleeper s = {
		.pid = pid, .tid = t->tid, .at_ns = t->at_ns, .nr = t->nr, .sp = t->sp};
	int r = target_thread_times(pid, t->tid, &s.runtime_ns, &s.delay_ns);

	if (r < 0)
		return r;
	memcpy(s.args, t->args, sizeof(s.args));
	return probe_seed(p, &s, may_futex);
}

int seed_set(const struct target_thread *t)
{
	__u64 call[4] = {t->args[0], t->args[1], t->args[2], t->args[3]};

	return probe_wait_fd(probe_wait_class(t->nr), probe_wait_key(t->nr, t->sp, call));
}
