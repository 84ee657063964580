/* SPDX-License-Identifier: MIT */
/* Each check does the thing itself. The kernel side is proven by proof.c. */
#include "doctor.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "control.h"
#include "inspect/inspector.h"
#include "ring.h"
#include "probe.h"
#include "proof.h"
#include "seed.h"
#include "thread.h"
#include "target.h"

#define WAITING_MAX 16
#define LOOKS	    6 /* at the threads of the target, 10 ms from one to the next */
#define TURNS_NS    (500 * LSC_NS_PER_MS) /* the target is watched so long for turns */
#define UNWOUND_NS  (3 * LSC_NS_PER_S)

/* Of what is not ok the detail ends as errors do: "what is missing; what would give it". */
static void add(void *checks, const char *name, const char *status, const char *detail)
{
	char missing[1024], *fix = NULL, *at;

	snprintf(missing, sizeof(missing), "%s", detail);
	at = strcmp(status, "ok") ? strstr(missing, "; ") : NULL;
	for (; at; at = strstr(at + 1, "; "))
		fix = at;
	if (fix) {
		*fix = '\0';
		fix += strlen("; ");
	}
	json_t *d = control_text(missing, 500), *f = fix ? control_text(fix, 500) : NULL;
	json_array_append_new(checks,
			      json_pack("{s:s, s:s, s:o, s:o}", "name", name, "status", status,
					"detail", d ? d : json_null(), "fix", f ? f : json_null()));
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

/* Looks until a thread waits like a loop, and some times more for others: one that is busy may be
 * met in the midst of a turn. What most are seen in is told. 0 or -errno. */
static int find_waiting(int pid, struct thread_count *ret)
{
	uint64_t end = lsc_now_ns() + TURNS_NS;

	*ret = (struct thread_count){0};
	for (int looks = 0;;) {
		struct thread_count n = {0};
		int r = target_each_thread(pid, count_thread, &n);
		if (r < 0)
			return r;
		if (n.waiting > ret->waiting || !ret->threads)
			*ret = n;
		looks += ret->waiting > 0;
		if (looks == LOOKS || lsc_now_ns() >= end)
			return 0;
		usleep(10000);
	}
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
	uint64_t begin, turns = 0;
	int most = n->waiting < WAITING_MAX ? n->waiting : WAITING_MAX, loops = 0;
	char text[160];

	if (!most) {
		add(checks, name, "missing", "no thread waited like a loop");
		return;
	}
	if (probe_new(&o, NULL, NULL, &p, &err) < 0) {
		add(checks, name, err.code == -EPERM ? "refused" : "missing", err.text);
		return;
	}
	for (int i = 0; i < most; i++)
		seed_place(p, pid, &n->one[i], n->one[i].tid == pid);
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
	snprintf(text, sizeof(text), "saw %llu turn%s of %d loop%s in %llu ms%s",
		 (unsigned long long)turns, turns == 1 ? "" : "s", loops, loops == 1 ? "" : "s",
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
	int r = find_waiting(pid, &n);
	if (r < 0)
		snprintf(text, sizeof(text), "threads cannot be read: %s", strerror(-r));
	else
		snprintf(text, sizeof(text), "%d thread%s, %d of them waiting like a loop",
			 n.threads, n.threads == 1 ? "" : "s", n.waiting);
	add(checks, "threads", r < 0 ? "refused" : "ok", text);
	r = ring_scan(pid, count_ring, &rings);
	if (r < 0)
		snprintf(text, sizeof(text), "descriptors cannot be read: %s", strerror(-r));
	else
		snprintf(text, sizeof(text),
			 rings ? "%d: tasks and victims will be named"
			       : "none: not built with the loop library, so tasks cannot be named",
			 rings);
	add(checks, "rings", r < 0 ? "refused" : rings ? "ok" : "missing", text);
	if (events) /* else the kernel's numbers are others */
		check_events(checks, pid, &n);
	if (n.waiting)
		check_stacks(checks, pid, &n.one[0]);
	target_close(&t);
}

/* Of who has set DEBUGINFOD_URLS. */
static void check_debuginfod(json_t *checks)
{
	int r = inspector_debuginfod();

	if (r == 0)
		add(checks, "debug files of debuginfod", "ok",
		    "asked where DEBUGINFOD_URLS says, for what is not on this machine");
	else if (r == -ELIBACC)
		add(checks, "debug files of debuginfod", "missing",
		    "DEBUGINFOD_URLS is set, but libdebuginfod.so.1 is not installed; the package "
		    "libdebuginfod1 would give it");
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
	proof_run(add, checks);
	check_debuginfod(checks);
	if (pid > 0)
		check_target(checks, pid, r == 0);
	return json_pack("{s:s, s:o}", "type", "doctor", "checks", checks);
}
