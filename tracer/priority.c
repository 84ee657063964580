/* SPDX-License-Identifier: MIT */
#include "priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"

#define LOOK_NS (100 * LSC_NS_PER_MS)
#define MUCH	5  /* a fifth of a CPU is much, */
#define LITTLE	20 /* a twentieth is little, */
#define CALM	10 /* for so many looks in a row: urgent again */
#define NICE	-10

static uint64_t cpu_ns(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
		       ? 0
		       : (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The lowest real-time priority is above all processes of the usual class. */
static void hasten(struct priority *p)
{
	struct sched_param first = {.sched_priority = 1};

	if (p->refused || p->urgent)
		return;
	p->urgent = !sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &first);
	p->refused = !p->urgent;
}

static void slacken(struct priority *p)
{
	struct sched_param usual = {0};

	p->calm = 0;
	if (p->urgent && !sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &usual))
		p->urgent = false;
}

void priority_begin(struct priority *p, uint64_t now)
{
	/* Where not even this is permitted, stalls have wider bounds on a crowded host. */
	(void)!setpriority(PRIO_PROCESS, 0, NICE);
	*p = (struct priority){.next_ns = now + LOOK_NS, .at_ns = now, .cpu_ns = cpu_ns()};
	hasten(p);
}

void priority_steer(struct priority *p, bool much, uint64_t now)
{
	if (much)
		slacken(p);
	if (p->refused || now < p->next_ns)
		return;
	uint64_t spent = cpu_ns() - p->cpu_ns, passed = now - p->at_ns;

	if (spent > passed / MUCH)
		slacken(p);
	else if (spent > passed / LITTLE)
		p->calm = 0;
	else if (++p->calm >= CALM)
		hasten(p);
	p->cpu_ns += spent;
	p->at_ns = now;
	p->next_ns = now + LOOK_NS;
}

void priority_end(struct priority *p)
{
	slacken(p);
	p->refused = true;
}
