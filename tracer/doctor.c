/* SPDX-License-Identifier: MIT */
/*
 * Each check does the thing itself: the base probes are proven by an event that this process causes
 * and sees.
 */
#include "doctor.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "control.h"
#include "inspect/inspector.h"
#include "ring.h"
#include "probe.h"
#include "thread.h"
#include "target.h"

#define PRECISE	    "precise mode (sys_exit, sched_waking)"
#define EXACT	    "returns from waits (fexit, sched_waking)"
#define WAITING_MAX 16
#define TURNS_NS    (500 * LSC_NS_PER_MS) /* the target is watched so long for turns */
#define UNWOUND_NS  (3 * LSC_NS_PER_S)

static void add(json_t *checks, const char *name, const char *status, const char *detail)
{
	json_t *d = control_text(detail, 500);

	json_array_append_new(checks, json_pack("{s:s, s:s, s:o}", "name", name, "status", status,
						"detail", d ? d : json_null()));
}

struct seen {
	int tid;
	uint64_t block_ns, loops, waited_ns;
};

static void on_event(const struct event *e, size_t size, void *arg)
{
	struct seen *s = arg;

	if ((int)e->tid != s->tid)
		return;
	if (e->kind == EVENT_LOOP)
		s->loops++;
	if (e->kind == EVENT_BLOCK && size >= sizeof(struct event_block)) {
		const struct event_block *b = (const struct event_block *)e;
		s->block_ns = b->wake_ns - b->off_ns;
	}
	if (e->kind == EVENT_WAITED && size >= sizeof(struct event_waited))
		s->waited_ns = e->ts_ns - ((const struct event_waited *)e)->ready_ns;
}

/* Lets a byte wait in a socket for 5 ms, and looks whether that was seen. Precise mode is armed. */
static void check_victims(json_t *checks, struct probe *p, struct seen *seen)
{
	static const char name[] = "who waits (sk_data_ready)";
	int pair[2];
	char byte = 0, text[160];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		add(checks, name, "missing", strerror(errno));
		return;
	}
	int r = probe_victims_watch(probe_victims(p), getpid(), 0, true);
	if (r == 0 && write(pair[0], &byte, 1) == 1 && usleep(5000) == 0 &&
	    read(pair[1], &byte, 1) == 1)
		probe_consume(p);
	close(pair[0]);
	close(pair[1]);
	snprintf(text, sizeof(text), "saw a byte wait in a socket for %.1f ms",
		 (double)seen->waited_ns / 1e6);
	if (seen->waited_ns >= 4 * LSC_NS_PER_MS)
		add(checks, name, "ok", text);
	else
		add(checks, name, "missing",
		    r == -ENOTSUP ? "the tracepoint is missing: it needs Linux 6.3 or newer"
		    : r < 0	  ? strerror(-r)
				  : "what waited in a socket here was not seen");
}

/* Turns a small event loop in this thread, sleeps 5 ms inside a tick, and looks whether that was
 * seen. */
static void check_probes(json_t *checks)
{
	int self = getpid();
	struct seen seen = {.tid = self};
	struct lsc_err err = {0};
	struct probe_options o = {.pids = &self,
				  .npids = 1,
				  .stall_ns = 10 * LSC_NS_PER_MS,
				  .block_ns = LSC_NS_PER_MS};
	struct probe *p = NULL;
	char text[160];

	if (probe_new(&o, on_event, &seen, &p, &err) < 0) {
		add(checks, "kernel probes (sched_switch, cpu-clock)",
		    err.code == -EPERM ? "refused" : "missing", err.text);
		return;
	}
	lsc_autoclose int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;
	for (int i = 0; ep >= 0 && i < 4; i++) {
		epoll_wait(ep, &ev, 1, 2);
		if (i == 2)
			usleep(5000);
	}
	probe_consume(p);
	if (seen.loops && seen.block_ns >= 4 * LSC_NS_PER_MS) {
		snprintf(text, sizeof(text),
			 "saw a loop learned and a sleep of %.1f ms inside its tick",
			 (double)seen.block_ns / 1e6);
		add(checks, "kernel probes (sched_switch, cpu-clock)", "ok", text);
	} else {
		add(checks, "kernel probes (sched_switch, cpu-clock)", "missing",
		    "they load, but an event that was caused here was not seen");
	}
	bool exact = probe_is_exact(p);
	uint64_t before = probe_counter(p, COUNT_PRECISE_EXITS);
	int r = probe_arm(p);
	if (r == 0)
		r = probe_arm_waking(p);
	for (int i = 0; r == 0 && ep >= 0 && i < 3; i++)
		epoll_wait(ep, &ev, 1, 0);
	for (int i = 0; r == 0 && ep >= 0 && i < 3; i++)
		epoll_wait(ep, &ev, 1, 2);
	if (r == 0 && probe_counter(p, COUNT_PRECISE_EXITS) > before)
		add(checks, exact ? EXACT : PRECISE, "ok", "saw the returns from a primary wait");
	else
		add(checks, exact ? EXACT : PRECISE, "missing",
		    r < 0 ? strerror(-r) : "no return was seen");
	check_victims(checks, p, &seen);
	probe_free(p);
}

static int count_ring(int fd, void *arg)
{
	(void)fd;
	(*(int *)arg)++;
	return 0;
}

struct thread_count {
	int threads, waiting;
	struct target_thread one[WAITING_MAX]; /* of the waiting */
};

static int count_thread(const struct target_thread *t, void *arg)
{
	struct thread_count *n = arg;

	n->threads++;
	if (!t->running && probe_wait_class(t->nr) > WAIT_FUTEX && n->waiting++ < WAITING_MAX)
		n->one[n->waiting - 1] = *t;
	return 0;
}

/* Watches the threads that wait like a loop until some have turned. It is not for us to wake them.
 */
static void check_events(json_t *checks, int pid, const struct thread_count *n)
{
	static const char name[] = "events of the target";
	struct probe_options o = {.pids = &pid,
				  .npids = 1,
				  .stall_ns = 10 * LSC_NS_PER_MS,
				  .block_ns = LSC_NS_PER_MS};
	struct lsc_err err = {0};
	struct probe *p = NULL;
	struct seen seen = {0};
	uint64_t begin, turns = 0;
	int most = n->waiting < WAITING_MAX ? n->waiting : WAITING_MAX, loops = 0;
	char text[160];

	if (!most) {
		add(checks, name, "missing", "no thread waits like a loop right now");
		return;
	}
	if (probe_new(&o, on_event, &seen, &p, &err) < 0) {
		add(checks, name, err.code == -EPERM ? "refused" : "missing", err.text);
		return;
	}
	for (int i = 0; i < most; i++)
		probe_seed(p, pid, n->one[i].tid, n->one[i].tid == pid, n->one[i].nr, n->one[i].sp,
			   n->one[i].args);
	begin = lsc_now_ns(); /* loading has taken its time */
	while (loops < most && lsc_now_ns() < begin + TURNS_NS) {
		usleep(10000);
		turns = 0;
		loops = 0;
		for (int i = 0; i < most; i++) {
			struct thread_state t;
			uint64_t ticks = probe_thread(p, n->one[i].tid, &t) == 0 ? t.ticks : 0;
			turns += ticks;
			loops += ticks > 0;
		}
	}
	snprintf(text, sizeof(text), "saw %llu turns of %d loops in %llu ms%s",
		 (unsigned long long)turns, loops,
		 (unsigned long long)((lsc_now_ns() - begin) / LSC_NS_PER_MS),
		 turns ? "" : ": all of them slept");
	add(checks, name, turns ? "ok" : "missing", text);
	probe_free(p);
}

struct unwound {
	bool done;
	char text[400];
	size_t frames;
};

static void on_unwound(const struct inspector_result *r, void *arg)
{
	struct unwound *u = arg;
	size_t at = 0;

	u->done = true;
	u->frames = r->nframes;
	for (size_t i = 0; i < r->nframes && i < 6 && at < sizeof(u->text); i++)
		at += (size_t)snprintf(u->text + at, sizeof(u->text) - at, "%s%s", i ? " <- " : "",
				       r->frames[i].function ? r->frames[i].function : "?");
	if (!r->nframes)
		snprintf(u->text, sizeof(u->text), "%s", r->why ? r->why : "no frame was found");
}

/* Unwinds one thread where it waits. Of its registers two are known outside of an event, which is
 * enough for a system call's wrapper and mostly for its callers. */
static void check_stacks(json_t *checks, int pid, const struct target_thread *t)
{
	static const char name[] = "stacks of the target";
	uint64_t regs[INSPECTOR_REGS] = {[7] = t->sp, [16] = t->pc},
		 end = lsc_now_ns() + UNWOUND_NS;
	struct inspector *ins = NULL;
	struct unwound u = {0};
	struct lsc_err err = {0};
	char text[480];
	int r = inspector_new(NULL, on_unwound, &u, &ins, &err);

	if (r < 0) {
		add(checks, name, "missing", err.text);
		return;
	}
	r = inspector_unwind(ins, 1, pid, t->tid, regs, NULL, 0);
	while (r == 0 && !u.done && lsc_now_ns() < end) {
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		poll(&p, 1, 5);
		inspector_dispatch(ins);
	}
	snprintf(text, sizeof(text), "thread %d: %s", t->tid, u.done ? u.text : "no answer");
	add(checks, name, u.frames ? "ok" : "missing", text);
	inspector_free(ins);
}

static void check_target(json_t *checks, int pid, bool events)
{
	struct lsc_err err = {0};
	struct target t;
	struct thread_count n = {0};
	char text[800];
	int rings = 0;

	if (target_open(pid, &t, &err) < 0) {
		add(checks, "target", err.code == -EPERM ? "refused" : "missing", err.text);
		return;
	}
	snprintf(text, sizeof(text), "%d %s%s%s, %s", pid, t.comm, t.runtime[0] ? ", " : "",
		 t.runtime, t.exe[0] ? t.exe : "executable unknown");
	add(checks, "target", "ok", text);
	int r = target_each_thread(pid, count_thread, &n);
	if (r < 0)
		snprintf(text, sizeof(text), "threads cannot be read: %s", strerror(-r));
	else
		snprintf(text, sizeof(text), "%d threads, %d of them waiting like a loop right now",
			 n.threads, n.waiting);
	add(checks, "threads", r < 0 ? "refused" : "ok", text);
	r = ring_scan(pid, count_ring, &rings);
	if (r < 0)
		snprintf(text, sizeof(text), "descriptors cannot be read: %s", strerror(-r));
	else
		snprintf(text, sizeof(text),
			 rings ? "%d: tasks and victims will be named"
			       : "none: not built with the loop library; tasks cannot be named",
			 rings);
	add(checks, "rings", r < 0 ? "refused" : rings ? "ok" : "missing", text);
	if (events) /* else the kernel's numbers are others */
		check_events(checks, pid, &n);
	if (n.waiting)
		check_stacks(checks, pid, &n.one[0]);
	target_close(&t);
}

json_t *doctor_run(int pid)
{
	json_t *checks = json_array();
	struct lsc_err err = {0};

	if (!checks)
		return NULL;
	add(checks, "kernel type information (BTF)",
	    access("/sys/kernel/btf/vmlinux", R_OK) ? "missing" : "ok",
	    access("/sys/kernel/btf/vmlinux", R_OK)
		    ? "no /sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF would give it"
		    : "/sys/kernel/btf/vmlinux");
	int r = target_proc_check(&err);
	if (r == 0)
		r = target_namespace_check(&err);
	add(checks, "pid namespace", r < 0 ? "refused" : "ok", r < 0 ? err.text : "the host's");
	check_probes(checks);
	if (pid > 0)
		check_target(checks, pid, r == 0);
	return json_pack("{s:s, s:o}", "type", "doctor", "checks", checks);
}
