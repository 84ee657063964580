/* SPDX-License-Identifier: MIT */
#include "glance.h"

#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "impl.h"
#include "sched.skel.h"
#include "thread.h"

#define STRAYS_MAX 16 /* of more, the place is not that of its wait alone */

/* It is enabled by the glance. An address that no program can run, until then. */
static struct perf_event_attr breakpoint_at(uint64_t address)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X,
		.bp_addr = address,
		.bp_len = sizeof(long),
		.sample_period = 1,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
}

static int open_cpu(struct probe *p, struct glance_cpu *g, int cpu)
{
	struct perf_event_attr attr = breakpoint_at(1);

	g->fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (g->fd < 0)
		return errno == ENODEV || errno == ENXIO ? 0 : -errno; /* offline */
	/* libbpf's own way would enable it */
	g->link = bpf_link_create(bpf_program__fd(p->skel->progs.on_return), g->fd, BPF_PERF_EVENT,
				  NULL);
	return g->link < 0 ? g->link : 0;
}

void glances_close(struct probe *p)
{
	struct glances *g = &p->glances;

	for (int i = 0; i < g->ncpus; i++) {
		if (g->cpus[i].link >= 0)
			close(g->cpus[i].link);
		if (g->cpus[i].fd >= 0)
			close(g->cpus[i].fd);
	}
	free(g->cpus);
	*g = (struct glances){.refused = g->refused};
}

/* A breakpoint for each CPU. The first takes a grace period of RCU, some 10 ms. */
static int open_all(struct probe *p)
{
	struct glances *g = &p->glances;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (cpus <= 0 || cpus > MAX_CPUS)
		return -EOPNOTSUPP;
	g->cpus = calloc((size_t)cpus, sizeof(*g->cpus));
	if (!g->cpus)
		return -ENOMEM;
	for (; g->ncpus < cpus; g->ncpus++)
		g->cpus[g->ncpus] = (struct glance_cpu){.fd = -1, .link = -1};
	for (int cpu = 0; cpu < cpus; cpu++) {
		int r = open_cpu(p, &g->cpus[cpu], cpu);
		if (r < 0) {
			glances_close(p);
			return r;
		}
	}
	return 0;
}

/* Its state where both sides see it; NULL of one in the crowd. */
static struct thread_state *state_of_looked_at(struct probe *p, int tid)
{
	struct thread_state *t = &p->slots[(__u32)tid % PROBE_SLOTS];

	return __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE) == (__u32)tid ? t : NULL;
}

static struct glance_cpu *glance_of(struct probe *p, int tid)
{
	for (int i = 0; i < p->glances.ncpus; i++)
		if (p->glances.cpus[i].tid == tid)
			return &p->glances.cpus[i];
	return NULL;
}

static void leave(struct glance_cpu *g)
{
	g->tid = 0;
	(void)!ioctl(g->fd, PERF_EVENT_IOC_DISABLE, 0); /* the CPU may be offline by now */
}

static int begin_at(struct glance_cpu *g, struct thread_state *t)
{
	struct perf_event_attr attr = breakpoint_at(t->return_ip);

	if (ioctl(g->fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr) < 0 ||
	    ioctl(g->fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -errno;
	g->tid = (int)t->tid;
	g->strays = t->strays;
	__atomic_store_n(&t->glance_ns, lsc_now_ns(), __ATOMIC_SEQ_CST);
	return 0;
}

int probe_glance(struct probe *p, int tid)
{
	struct thread_state *t = state_of_looked_at(p, tid);
	struct glance_cpu *now = glance_of(p, tid), *g;

	if (p->glances.refused || p->exact || !t || t->return_ip <= RETURN_SHARED)
		return -EOPNOTSUPP;
	if (!p->glances.cpus && open_all(p) < 0) {
		p->glances.refused = true;
		return -EOPNOTSUPP;
	}
	uint32_t cpu = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE);
	if (cpu >= (uint32_t)p->glances.ncpus || p->glances.cpus[cpu].fd < 0)
		return -EOPNOTSUPP;
	g = &p->glances.cpus[cpu];
	if (g == now) {
		if (t->strays - g->strays < STRAYS_MAX)
			return 0;
		t->return_ip = RETURN_SHARED;
		return -EOPNOTSUPP;
	}
	if (now)
		leave(now);
	if (g->tid)
		return -EBUSY;
	int r = begin_at(g, t);
	if (r < 0)
		return -EOPNOTSUPP;
	if (__atomic_load_n(&t->cpu, __ATOMIC_SEQ_CST) != cpu)
		__atomic_store_n(&t->glance_ns, 0, __ATOMIC_RELEASE); /* the next look follows it */
	return 0;
}

void probe_glance_end(struct probe *p, int tid, bool seen)
{
	struct thread_state *t = state_of_looked_at(p, tid);
	struct glance_cpu *g = glance_of(p, tid);

	if (g)
		leave(g);
	if (t && !seen)
		__atomic_store_n(&t->glance_ns, 0, __ATOMIC_RELEASE);
}
