/* SPDX-License-Identifier: MIT */
/* Loops are observed first; then what the inspector and the rings know of their tasks is told. */
#include "ps.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "census.h"
#include "control.h"
#include "handles.h"
#include "held.h"
#include "own.h"
#include "tasks.h"
#include "watched.h"

#define OBSERVE_NS    LSC_NS_PER_S
#define TASKS_NS      (5 * LSC_NS_PER_S) /* for the tasks of all processes together */
#define LIST_A_TIME   50		 /* in a message, as the next */
#define LOOPS_A_TIME  50		 /* in a message */
#define AWAITS_A_TIME 2000
#define BATCH_BYTES   (48 * 1024)
#define TEXT_MAX      1024

struct ps {
	ps_send_fn *send;
	void *arg;
	struct inspector *inspector;
	/* the process whose tasks are read */
	struct tasks *tasks;
	uint64_t cookie; /* of the newest reading: one that came to nothing may go on */
	enum { READ_TASKS, READ_VERSION, READ_HANDLES, READ_STACK } reading;
	bool done;
	struct inspector_tally tally;
	bool python;	  /* it is a CPython */
	uint32_t version; /* of another runtime; 0 unknown */
	/* the loop whose handles are read */
	struct watched *watched; /* owned; of that process */
	json_t *handles; /* owned; empty where `watched` is NULL; NULL: it is none of libuv's */
	size_t handles_omitted;
	struct held *held; /* owned; NULL: nothing holds the first thread, or it turns a loop */
	json_t *found;	   /* owned; for each loop what was found, a ps-handles, or null */
	char why[160];
};

static json_t *text_or_null(const char *text)
{
	json_t *t = control_text(text && text[0] ? text : NULL, TEXT_MAX);

	return t ? t : json_null();
}

/* ---- tasks of asyncio ---- */

static void on_result(const struct inspector_result *r, void *arg)
{
	struct ps *p = arg;

	if (r->cookie != p->cookie)
		return;
	if (r->handles) {
		json_decref(p->handles);
		p->handles =
			p->watched ? handles_list(r->handles, r->nhandles, p->watched, lsc_now_ns())
				   : json_array();
		p->handles_omitted = r->handles_omitted;
		return;
	}
	if (r->page) {
		if (p->tasks)
			tasks_add_page(p->tasks, r->page, r->npage);
		return;
	}
	if (p->reading == READ_STACK && !held_take(p->held, r))
		return;
	p->done = true;
	if (p->reading == READ_TASKS) {
		p->tally = r->tally;
		p->python = r->address != 0;
	} else if (p->reading == READ_VERSION) {
		p->version = r->tally.version;
	}
	snprintf(p->why, sizeof(p->why), "%s", r->why ? r->why : "");
}

static void begin_reading(struct ps *p, int reading)
{
	p->reading = reading;
	p->done = false;
	p->cookie++;
	snprintf(p->why, sizeof(p->why), "no time is left");
}

static void await_answer(struct ps *p, uint64_t until)
{
	for (uint64_t now = lsc_now_ns(); !p->done; now = lsc_now_ns()) {
		struct pollfd fd = {.fd = inspector_fd(p->inspector), .events = POLLIN};
		uint64_t at = inspector_deadline_ns(p->inspector);
		int ms = at <= now ? 0 : at - now > 50 * LSC_NS_PER_MS ? 50 : 1;
		if (now >= until)
			break;
		poll(&fd, 1, ms);
		inspector_dispatch(p->inspector);
	}
}

/* Has the tasks of a process read into p->tasks. Bounded by `until`. */
static void read_tasks(struct ps *p, const struct target *t, uint64_t until)
{
	begin_reading(p, READ_TASKS);
	p->python = false;
	p->tally = (struct inspector_tally){0};
	p->tasks = tasks_free(p->tasks);
	p->tasks = tasks_new(t);
	if (p->tasks && inspector_tasks(p->inspector, p->cookie, t->pid, t->pid) == 0)
		await_answer(p, until);
}

/* Has the handles of a loop read into p->handles, if it is one of libuv. */
static void read_handles(struct ps *p, const struct census_loop *l, uint64_t until)
{
	begin_reading(p, READ_HANDLES);
	json_decref(LSC_TAKE(p->handles));
	if (l->fd >= 0 && l->sp &&
	    inspector_handles(p->inspector, p->cookie, l->pid, l->tid, l->sp, l->fd) == 0)
		await_answer(p, until);
}

/* "3.11.7", or "3.10" where the last number is not known. */
static void version_text(uint32_t version, bool micro, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%u.%u", version >> 24, version >> 16 & 0xff);

	if (micro && n > 0 && (size_t)n < size)
		snprintf(buf + n, size - (size_t)n, ".%u", version >> 8 & 0xff);
}

/* The version of a runtime other than CPython; empty where it is unknown, or not in the process. */
static void read_version(struct ps *p, int pid, const char *runtime, uint64_t until, char *buf,
			 size_t size)
{
	begin_reading(p, READ_VERSION);
	p->version = 0;
	buf[0] = '\0';
	if (inspector_version(p->inspector, p->cookie, pid, pid, runtime) == 0)
		await_answer(p, until);
	if (p->version)
		version_text(p->version, true, buf, size);
}

/* The same of all loops of its process. */
static void learn_version(struct ps *p, struct census *c, size_t first, uint64_t until)
{
	const struct census_loop *l = &c->loops[first];
	char version[32];

	if (!l->runtime[0] || l->runtime_version[0] || l->ring || !strcmp(l->runtime, "cpython"))
		return;
	read_version(p, l->pid, l->runtime, until, version, sizeof(version));
	for (size_t i = first; i < c->n && c->loops[i].pid == l->pid; i++)
		if (!c->loops[i].ring && !strcmp(c->loops[i].runtime, l->runtime))
			snprintf(c->loops[i].runtime_version, sizeof(version), "%s", version);
}

/* What the reading of a process's tasks tells of its loops. */
static void learn_loops(const struct ps *p, struct census *c, int pid)
{
	char version[32];

	version_text(p->tally.version, (p->tally.version >> 16 & 0xff) > 10, version,
		     sizeof(version));
	for (size_t i = 0; i < c->n; i++) {
		struct census_loop *l = &c->loops[i];
		size_t n = tasks_of_thread(p->tasks, l->tid);
		if (l->pid != pid || !p->python || l->ring)
			continue;
		snprintf(l->runtime, sizeof(l->runtime), "cpython");
		if (p->tally.version)
			snprintf(l->runtime_version, sizeof(l->runtime_version), "%s", version);
		/* of a loop whose thread is not known the tasks are not either */
		if (!p->why[0] && (n || tasks_count(p->tasks) == 0))
			l->tasks = (int64_t)n;
	}
}

/* Where other threads turn the loops the first one waits for them, or for its user; but node's is
 * to turn its own. */
static bool may_rest(const struct census *c, const struct target *t)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->loops[i].tid == t->pid || strcmp(t->runtime, "node") != 0)
			return true;
	return false;
}

/* What holds the first thread, if it should turn a loop and does not. */
static void read_held(struct ps *p, const struct census *c, const struct target *t, uint64_t until)
{
	if (p->held && (may_rest(c, t) || !held_is(p->held)))
		p->held = held_free(p->held);
	if (!p->held)
		return;
	begin_reading(p, READ_STACK);
	if (held_unwind(p->held, p->inspector, p->cookie, target_is_python(t) ? t->ns_pid : 0) == 0)
		await_answer(p, until);
}

/* ---- telling ---- */

static json_t *loop_json(const struct census_loop *l)
{
	json_t *wait = l->syscall ? json_pack("{s:s, s:o}", "syscall", l->syscall, "fd",
					      l->fd < 0 ? json_null() : json_integer(l->fd))
				  : json_null();

	return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:s, s:b, s:o, s:o}", "pid", l->pid, "tid",
			 l->tid, "comm", text_or_null(l->comm), "runtime", text_or_null(l->runtime),
			 "runtime_version", text_or_null(l->runtime_version), "primary_wait", wait,
			 "source",
			 l->kernel && l->ring ? "both"
			 : l->kernel	      ? "bpf"
					      : "ring",
			 "turned", l->turned || l->ring, "utilization",
			 l->utilization < 0 ? json_null() : json_real(l->utilization), "tasks",
			 l->tasks < 0 ? json_null() : json_integer(l->tasks));
}

static void send_list(struct ps *p, const char *type, const char *key, json_t *list)
{
	p->send(json_pack("{s:s, s:o}", "type", type, key, list), p->arg);
}

static void add_unseen(json_t *unseen, const char *what, const char *why)
{
	json_array_append_new(unseen,
			      json_pack("{s:s, s:o}", "what", what, "why", text_or_null(why)));
}

/* A long list of a loop's, a message for each LIST_A_TIME of them. */
static void send_parts(struct ps *p, const struct census_loop *l, const char *type, const char *key,
		       const json_t *all, size_t omitted)
{
	for (size_t at = 0; !at || at < json_array_size(all); at += LIST_A_TIME) {
		json_t *some = json_array();
		for (size_t k = at; k < json_array_size(all) && k < at + LIST_A_TIME; k++)
			json_array_append(some, json_array_get(all, k));
		p->send(json_pack("{s:s, s:i, s:o, s:I}", "type", type, "tid", l->tid, key, some,
				  "omitted", (json_int_t)omitted),
			p->arg);
	}
}

/* What each loop's epoll set watches, and the handles of those of libuv. */
static void send_watched(struct ps *p, const struct census *c)
{
	for (size_t i = 0; p->watched && i < c->n; i++) {
		const struct census_loop *l = &c->loops[i];
		const json_t *found = json_array_get(p->found, i);
		size_t omitted = 0;
		json_t *all = l->fd < 0 ? NULL : watched_list(p->watched, l->fd, &omitted);
		if (all)
			send_parts(p, l, "ps-watched", "watched", all, omitted);
		json_decref(all);
		if (json_is_object(found))
			send_parts(p, l, "ps-handles", "handles", json_object_get(found, "handles"),
				   (size_t)json_integer_value(json_object_get(found, "omitted")));
	}
}

static void send_loops(struct ps *p, const struct census *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n; i++) {
		json_array_append_new(list, loop_json(&c->loops[i]));
		if (json_array_size(list) == LOOPS_A_TIME) {
			send_list(p, "ps-loops", "loops", list);
			list = json_array();
		}
	}
	send_list(p, "ps-loops", "loops", list);
}

/* A task that awaits thousands of others tells whom in messages of their own. */
static void send_awaits(struct ps *p)
{
	for (size_t i = 0; i < tasks_count(p->tasks); i++) {
		json_t *task = tasks_get(p->tasks, i), *awaits = json_object_get(task, "more");
		for (size_t at = 0; at < json_array_size(awaits); at += AWAITS_A_TIME) {
			json_t *some = json_array();
			for (size_t k = at; k < json_array_size(awaits) && k < at + AWAITS_A_TIME;
			     k++)
				json_array_append(some, json_array_get(awaits, k));
			p->send(json_pack("{s:s, s:O, s:o}", "type", "ps-awaits", "id",
					  json_object_get(task, "id"), "awaits", some),
				p->arg);
		}
	}
}

/* Makes a task fit into a message. Its size there. */
static size_t shorten(json_t *task)
{
	json_t *awaits = json_object_get(task, "awaits");
	json_t *more = json_array_size(awaits) > AWAITS_A_TIME ? json_incref(awaits) : NULL;

	if (more)
		json_object_set_new(task, "awaits", json_array());
	size_t size = json_dumpb(task, NULL, 0, JSON_ENSURE_ASCII | JSON_COMPACT);
	if (size > BATCH_BYTES) { /* hostile: frames of two kilobytes each */
		json_object_set_new(task, "frames", json_array());
		json_object_set_new(task, "cut", json_true());
		size = json_dumpb(task, NULL, 0, JSON_ENSURE_ASCII | JSON_COMPACT);
	}
	if (more)
		json_object_set_new(task, "more", more);
	return size;
}

/* As many as fit into a message at a time. */
static void send_tasks(struct ps *p)
{
	json_t *list = json_array();
	size_t bytes = 0;

	for (size_t i = 0; i < tasks_count(p->tasks); i++) {
		json_t *task = tasks_get(p->tasks, i), *plain = task;
		size_t size = shorten(task);
		if (bytes + size > BATCH_BYTES) {
			send_list(p, "ps-tasks", "tasks", list);
			list = json_array();
			bytes = 0;
		}
		if (json_object_get(task, "more")) {
			plain = json_copy(task);
			json_object_del(plain, "more");
			json_array_append_new(list, plain);
		} else {
			json_array_append(list, plain);
		}
		bytes += size;
	}
	send_list(p, "ps-tasks", "tasks", list);
	send_awaits(p);
}

static void send_end(struct ps *p, const struct census *c, json_t *unseen, const struct target *t)
{
	p->send(json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "type", "ps-end",
			  "main_thread", p->held ? held_json(p->held) : json_null(), "changed",
			  (json_int_t)p->tally.changed, "omitted", (json_int_t)p->tally.omitted,
			  "processes", (json_int_t)c->processes, "comm",
			  t ? text_or_null(t->comm) : json_null(), "reading_ns",
			  p->tally.took_ns ? json_integer((json_int_t)p->tally.took_ns)
					   : json_null(),
			  "unseen", unseen),
		p->arg);
}

/* ---- both ways ---- */

/* Reads the handles of all loops; what is turned by libuv and nothing else is a loop of libuv. */
static void find_handles(struct ps *p, struct census *c, json_t *unseen)
{
	uint64_t until = lsc_now_ns() + TASKS_NS;

	p->found = json_array();
	for (size_t i = 0; p->watched && i < c->n; i++) {
		struct census_loop *l = &c->loops[i];
		read_handles(p, l, until);
		if (p->done && p->why[0])
			add_unseen(unseen, "handles of libuv", p->why);
		if (!p->handles) {
			json_array_append_new(p->found, json_null());
			continue;
		}
		json_array_append_new(p->found,
				      json_pack("{s:o, s:I}", "handles", LSC_TAKE(p->handles),
						"omitted", (json_int_t)p->handles_omitted));
		if (!l->runtime[0])
			snprintf(l->runtime, sizeof(l->runtime), "libuv");
	}
}

static void tell_process(struct ps *p, struct census *c, const struct target *t, json_t *unseen)
{
	read_held(p, c, t, lsc_now_ns() + TASKS_NS);
	p->watched = watched_new(t->pid);
	find_handles(p, c, unseen);
	for (size_t i = 0; i < c->n; i++)
		learn_version(p, c, i, lsc_now_ns() + TASKS_NS);
	read_tasks(p, t, lsc_now_ns() + TASKS_NS);
	if (p->python || p->why[0])
		learn_loops(p, c, t->pid);
	if (p->why[0] && (p->python || !strcmp(t->runtime, "cpython")))
		add_unseen(unseen, "tasks of asyncio", p->why);
	if (p->tally.torn)
		add_unseen(unseen, "some tasks of asyncio", "their list changed while it was read");
	tasks_join(p->tasks);
	uint64_t now = lsc_now_ns();
	for (const struct ring_view *v = c->rings; v; v = v->next)
		if (!v->broken)
			tasks_add_ring(p->tasks, v, now);
	if (tasks_missing(p->tasks))
		add_unseen(unseen, "some tasks and awaits", tasks_missing(p->tasks));
}

/* Which loops of a process without a runtime of its own libuv turns, where it is a library of its
 * own there: another process is not looked through. */
static void find_libuv(struct ps *p, struct census *c, size_t first, uint64_t until)
{
	int pid = c->loops[first].pid;
	char version[32];

	if (c->loops[first].runtime[0])
		return;
	read_version(p, pid, "libuv", until, version, sizeof(version));
	for (size_t i = first; version[0] && i < c->n && c->loops[i].pid == pid; i++) {
		struct census_loop *l = &c->loops[i];
		if (l->ring)
			continue;
		read_handles(p, l, until);
		if (!p->handles)
			continue;
		snprintf(l->runtime, sizeof(l->runtime), "libuv");
		snprintf(l->runtime_version, sizeof(l->runtime_version), "%s", version);
	}
}

static void tell_host(struct ps *p, struct census *c, json_t *unseen)
{
	uint64_t until = lsc_now_ns() + TASKS_NS;
	struct lsc_err err;
	struct target t;
	size_t late = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct census_loop *l = &c->loops[i];
		bool again = i && c->loops[i - 1].pid == l->pid;
		if (!again)
			learn_version(p, c, i, until);
		if (again || strcmp(l->runtime, "cpython") != 0 ||
		    target_open(l->pid, &t, &err) < 0)
			continue;
		read_tasks(p, &t, until);
		if (p->tasks)
			learn_loops(p, c, l->pid);
		late += !p->done;
		p->tally = (struct inspector_tally){0};
		target_close(&t);
	}
	for (size_t i = 0; i < c->n; i++)
		if (!i || c->loops[i - 1].pid != c->loops[i].pid)
			find_libuv(p, c, i, until);
	if (late)
		add_unseen(unseen, "tasks of some processes", "no time was left");
	if (c->omitted)
		add_unseen(unseen, "processes", "there is room for 4096 at once");
}

int ps_run(int pid, ps_send_fn *send, void *arg, struct lsc_err *err)
{
	struct ps p = {.send = send, .arg = arg};
	struct target target = {.pidfd = -1};
	struct census *c = NULL;
	json_t *unseen = json_array();
	int r = target_proc_check(err);

	if (r == 0 && pid) {
		r = target_open(pid, &target, err);
		if (r == 0 && own_process(pid))
			r = lsc_err_set(err, -ESRCH,
					"process %d is loopscope's own: it does not watch itself",
					pid);
	}
	/* first: its children inherit no map of the probes */
	if (r == 0)
		r = inspector_new(NULL, on_result, &p, &p.inspector, err);
	if (r == 0 && pid)
		p.held = held_begin(pid);
	if (r == 0)
		r = census_run(pid, OBSERVE_NS, &c, err);
	if (r == 0) {
		if (c->missing[0])
			add_unseen(unseen, "loops without a ring", c->missing);
		if (pid)
			tell_process(&p, c, &target, unseen);
		else
			tell_host(&p, c, unseen);
		send_loops(&p, c);
		if (pid) {
			send_watched(&p, c);
			send_tasks(&p);
		}
		send_end(&p, c, json_incref(unseen), pid ? &target : NULL);
	}
	held_free(p.held);
	json_decref(p.handles);
	json_decref(p.found);
	watched_free(p.watched);
	tasks_free(p.tasks);
	census_free(c);
	inspector_free(p.inspector);
	target_close(&target);
	json_decref(unseen);
	return r;
}
