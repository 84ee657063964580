/* SPDX-License-Identifier: MIT */
/* How attach learns loops (watch.c, intake.c), without a capture and for a second. */
#include "census.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/clock.h"
#include "own.h"
#include "probe.h"
#include "seed.h"
#include "syscall.h"
#include "thread.h"

#define NEVER_NS (1ull << 62) /* no tick and no block is as long: nothing of them is recorded */
#define TURN_NS	 (20 * LSC_NS_PER_MS)

struct process {
	struct target target;
	UT_hash_handle hh; /* by target.pid */
};

struct thread { /* one that may be a loop */
	int tid, pid;
	uint64_t begin_ns; /* its account begins */
	bool seeded;	   /* it idled there when it was first looked at */
	struct thread_state state;
	UT_hash_handle hh;
};

struct taking {
	struct census *census;
	struct probe *probe; /* NULL: none to be had */
	struct process *processes;
	struct thread *threads;
	struct process *seeding;
	int pid; /* that was asked for; 0: all */
};

static struct thread *thread_get(struct taking *k, int pid, int tid, uint64_t now)
{
	struct thread *t;

	HASH_FIND_INT(k->threads, &tid, t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct thread){.tid = tid, .pid = pid, .begin_ns = now};
	HASH_ADD_INT(k->threads, tid, t);
	if (!t->hh.tbl) {
		free(t);
		return NULL;
	}
	return t;
}

static void on_event(const struct event *e, size_t size, void *arg)
{
	if (e->kind == EVENT_LOOP && size >= sizeof(struct event_loop))
		thread_get(arg, (int)e->tgid, (int)e->tid, e->ts_ns);
}

static int seed(const struct target_thread *t, void *arg)
{
	struct taking *k = arg;
	int pid = k->seeding->target.pid;
	bool idles = !t->running && seed_idles(t);

	if (t->running) { /* what it does from now on counts, should it be a loop */
		thread_get(k, pid, t->tid, lsc_now_ns());
		return 0;
	}
	if (!idles && !seed_parks(t, pid))
		return 0;
	uint64_t now = lsc_now_ns();
	int r = seed_place(k->probe, pid, t, idles && t->tid == pid);
	struct thread *own = idles ? thread_get(k, pid, t->tid, now) : NULL;
	if (own)
		own->seeded = r == 1;
	return 0;
}

/* Takes in one process. -errno of target_open(). */
static int add_process(struct taking *k, int pid, struct lsc_err *err)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	int r = target_open(pid, &p->target, err);
	if (r < 0) {
		free(p);
		return r;
	}
	HASH_ADD(hh, k->processes, target.pid, sizeof(p->target.pid), p);
	if (!p->hh.tbl) {
		target_close(&p->target);
		free(p);
		return lsc_err_set(err, -ENOMEM, "out of memory");
	}
	k->census->processes++;
	ring_view_open(&p->target, &k->census->rings);
	target_close(&p->target); /* thousands of them would be too many descriptors */
	if (!k->probe)
		return 0;
	k->seeding = p;
	if (probe_add_target(k->probe, pid) == 0)
		target_each_thread(pid, seed, k);
	return 0;
}

static void add_all(struct taking *k)
{
	DIR *d = opendir("/proc");
	struct lsc_err err;

	for (struct dirent *e; d && (e = readdir(d));) {
		int pid = atoi(e->d_name);
		if (pid <= 0 || own_process(pid) || own_kin(pid))
			continue;
		if (k->census->processes >= PROBE_MAX_TARGETS)
			k->census->omitted++;
		else
			(void)add_process(k, pid, &err); /* gone, of the kernel, another user's */
	}
	if (d)
		closedir(d);
}

static void observe(struct taking *k, uint64_t until)
{
	for (uint64_t now = lsc_now_ns(); now < until; now = lsc_now_ns()) {
		uint64_t ns = until - now < TURN_NS ? until - now : TURN_NS;
		poll(NULL, 0, (int)(ns / LSC_NS_PER_MS) + 1);
		while (k->probe && probe_consume(k->probe) > 0)
			;
		for (struct ring_view *v = k->census->rings; v; v = v->next)
			ring_view_read(v);
	}
}

/* ---- what it comes to ---- */

static bool is_poll(const struct thread_state *s)
{
	return s->primary_nr == NR_POLL || s->primary_nr == NR_PPOLL;
}

/* Multiplexers are loops once they turned, or idled there from the beginning; a futex only where
 * the main thread idles in it while another thread of the process waits for descriptors on its
 * behalf. */
static bool is_loop(const struct taking *k, const struct thread *t)
{
	const struct thread_state *s = &t->state;

	if (s->primary_class > WAIT_FUTEX)
		return s->confidence >= 2 ||
		       (s->primary_class == WAIT_EPOLL ? t->seeded || t->tid == t->pid
						       : t->seeded && k->pid && is_poll(s));
	if (s->primary_class != WAIT_FUTEX || t->tid != t->pid)
		return false;
	for (const struct thread *o = k->threads; o; o = o->hh.next)
		if (o != t && o->pid == t->pid && o->state.primary_class > WAIT_FUTEX &&
		    o->state.confidence > 1)
			return true;
	return false;
}

static double utilization(const struct thread *t, uint64_t now)
{
	uint64_t idle = t->state.idle_ns;

	if (t->state.off == OFF_IDLE && now > t->state.off_ns)
		idle += now - t->state.off_ns;
	if (now <= t->begin_ns)
		return -1;
	double share = 1 - (double)idle / (double)(now - t->begin_ns);
	return share < 0 ? 0 : share;
}

static struct census_loop *loop_get(struct taking *k, int pid, int tid)
{
	struct census *c = k->census;
	struct process *p;

	for (size_t i = 0; i < c->n; i++)
		if (c->loops[i].tid == tid)
			return &c->loops[i];
	struct census_loop *more = realloc(c->loops, (c->n + 1) * sizeof(*more));
	HASH_FIND_INT(k->processes, &pid, p);
	if (more)
		c->loops = more;
	if (!more || !p)
		return NULL;
	struct census_loop *l = &c->loops[c->n];
	*l = (struct census_loop){.pid = pid, .tid = tid, .fd = -1, .utilization = -1, .tasks = -1};
	if (target_thread_names(pid, tid, l->comm, NULL) < 0)
		return NULL; /* it has ended */
	snprintf(l->runtime, sizeof(l->runtime), "%s", p->target.runtime);
	snprintf(l->runtime_version, sizeof(l->runtime_version), "%s", p->target.runtime_version);
	c->n++;
	return l;
}

static void take_threads(struct taking *k, uint64_t now)
{
	for (struct thread *t = k->threads; t; t = t->hh.next)
		if (probe_thread(k->probe, t->tid, &t->state) < 0)
			t->state = (struct thread_state){0};
	for (struct thread *t = k->threads; t; t = t->hh.next) {
		struct census_loop *l = is_loop(k, t) ? loop_get(k, t->pid, t->tid) : NULL;
		if (!l)
			continue;
		l->kernel = true;
		__u8 met = probe_seed_confidence((enum wait_class)t->state.primary_class);
		l->turned = t->state.confidence > (t->seeded ? met : 1);
		l->syscall = syscall_name((int)t->state.primary_nr);
		l->fd = probe_wait_fd(t->state.primary_class, t->state.primary_fd);
		l->sp = t->state.primary_sp;
		l->utilization = utilization(t, now);
	}
}

static void take_rings(struct taking *k, uint64_t now)
{
	for (struct ring_view *v = k->census->rings; v; v = v->next) {
		const struct ring_info *info = ring_info(v->ring);
		struct census_loop *l = v->broken ? NULL : loop_get(k, v->pid, v->tid);
		if (!l)
			continue;
		l->ring = v;
		l->tasks = (int64_t)ring_track_count(v->track);
		snprintf(l->runtime, sizeof(l->runtime), "%s", info->runtime);
		snprintf(l->runtime_version, sizeof(l->runtime_version), "%s",
			 info->runtime_version);
		if (!l->kernel)
			l->utilization = ring_view_utilization(v, now);
	}
}

static int compare(const void *a, const void *b)
{
	const struct census_loop *x = a, *y = b;

	return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid)
				: (x->tid > y->tid) - (x->tid < y->tid);
}

static void taking_done(struct taking *k)
{
	struct process *p, *next_process;
	struct thread *t, *next_thread;

	probe_free(k->probe);
	HASH_ITER(hh, k->processes, p, next_process)
	{
		HASH_DEL(k->processes, p);
		free(p);
	}
	HASH_ITER(hh, k->threads, t, next_thread)
	{
		HASH_DEL(k->threads, t);
		free(t);
	}
}

int census_run(int pid, uint64_t observe_ns, struct census **ret, struct lsc_err *err)
{
	struct taking k = {.census = calloc(1, sizeof(*k.census)), .pid = pid};
	struct probe_options o = {
		.grows = true, .light = true, .stall_ns = NEVER_NS, .block_ns = NEVER_NS};
	struct lsc_err why = {0};
	int r = 0;

	if (!k.census)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	if (target_namespace_check(&why) < 0 || probe_new(&o, on_event, &k, &k.probe, &why) < 0)
		snprintf(k.census->missing, sizeof(k.census->missing), "%s", why.text);
	if (pid)
		r = add_process(&k, pid, err);
	else
		add_all(&k);
	if (r == 0) {
		observe(&k, lsc_now_ns() + observe_ns);
		uint64_t now = lsc_now_ns();
		if (k.probe)
			take_threads(&k, now);
		take_rings(&k, now);
		if (k.census->n)
			qsort(k.census->loops, k.census->n, sizeof(k.census->loops[0]), compare);
	}
	taking_done(&k);
	if (r < 0)
		k.census = census_free(k.census);
	else
		*ret = k.census;
	return r;
}

struct census *census_free(struct census *c)
{
	if (!c)
		return NULL;
	ring_view_free(c->rings);
	free(c->loops);
	free(c);
	return NULL;
}
