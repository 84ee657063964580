/* SPDX-License-Identifier: MIT */
/* By /proc/PID/schedstat and the state in /proc/PID/stat: the one has no wait for a CPU that still
 * lasts, the other tells one that runs or waits for a CPU from one that sleeps. */
#include "inspect/deadline.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define RUNNABLE 'R'

struct deadline_child deadline_child(pid_t pid)
{
	struct deadline_child c = {.pid = pid, .account = -1};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	if (pid > 0)
		c.account = open(path, O_RDONLY | O_CLOEXEC);
	return c;
}

/* False: there is no such account. */
static bool read_account(const struct deadline_child *c, struct deadline_account *ret)
{
	char text[96];
	ssize_t n = c->account < 0 ? -1 : pread(c->account, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	/* a kernel that keeps none says 0: a child that can be waited for has run */
	return sscanf(text, "%" SCNu64 " %" SCNu64, &ret->ran_ns, &ret->queued_ns) == 2 &&
	       ret->ran_ns > 0;
}

/* Whether it runs, or would if it had a CPU. */
static bool is_runnable(pid_t pid)
{
	char path[32], text[96];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == RUNNABLE;
}

void deadline_begin(struct deadline *d, struct deadline_child child, uint64_t phase_ns,
		    uint64_t whole_ns, uint64_t now_ns)
{
	*d = (struct deadline){.limit_ns = now_ns + whole_ns, .child = child};
	deadline_phase(d, phase_ns, now_ns);
}

static void look_in(struct deadline *d, uint64_t ns, uint64_t now_ns)
{
	d->at_ns = now_ns + ns < d->limit_ns ? now_ns + ns : d->limit_ns;
}

void deadline_phase(struct deadline *d, uint64_t phase_ns, uint64_t now_ns)
{
	d->began_ns = now_ns;
	d->may_ns = phase_ns;
	if (!read_account(&d->child, &d->began))
		d->child.account = -1;
	look_in(d, phase_ns, now_ns);
}

/* False: there is no account of it. */
static bool read_had(const struct deadline *d, uint64_t now_ns, uint64_t *ret)
{
	struct deadline_account now;

	if (!read_account(&d->child, &now))
		return false;
	/* One that is runnable may have waited for a CPU since any moment: what it has surely had
	 * is the time that it ran. One that sleeps waits for the target. */
	uint64_t queued_ns = now.queued_ns - d->began.queued_ns, passed_ns = now_ns - d->began_ns;
	*ret = is_runnable(d->child.pid) ? now.ran_ns - d->began.ran_ns
	       : queued_ns < passed_ns	 ? passed_ns - queued_ns
					 : 0;
	return true;
}

uint64_t deadline_had_ns(const struct deadline *d, uint64_t now_ns)
{
	uint64_t had_ns;

	return read_had(d, now_ns, &had_ns) ? had_ns : now_ns - d->began_ns;
}

enum deadline_verdict deadline_judge(struct deadline *d, uint64_t now_ns)
{
	uint64_t had_ns;

	if (now_ns < d->at_ns)
		return DEADLINE_AHEAD;
	if (!read_had(d, now_ns, &had_ns) || had_ns >= d->may_ns)
		return DEADLINE_MISSED;
	if (now_ns >= d->limit_ns)
		return DEADLINE_STARVED;
	look_in(d, d->may_ns - had_ns, now_ns);
	return DEADLINE_AHEAD;
}
