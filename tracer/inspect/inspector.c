/* SPDX-License-Identifier: MIT */
/*
 * The collector's side: a queue of jobs and one activity at a time, either a target being opened by
 * the broker or a stack being unwound by the worker. So every delay has one target to blame. Here
 * nothing of a target is parsed, and no call waits.
 */
#include "inspect/inspector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/fetcher.h"
#include "inspect/heard.h"
#include "inspect/putoff.h"
#include "inspect/reply.h"
#include "inspect/request.h"
#include "inspect/state.h"

#define UNWIND_NS (50 * LSC_NS_PER_MS)
#define INDEX_NS  (2 * LSC_NS_PER_S)
#define INDEX_PER_JOB                                                                              \
	4 /* times index_deadline_ns: the whole job, however often it says "index"                 \
	   */
#define MESSAGES_PER_TURN 64

static int start_children(struct inspector *ins, bool debuginfod)
{
	int fds[KEEPER_CREWS];

	ins->crew.keeper = ins->crew.broker = ins->crew.worker = -1;
	ins->crew.at_work = deadline_child(0);
	ins->epoll = epoll_create1(EPOLL_CLOEXEC);
	int r = ins->epoll < 0 ? -errno : keeper_start(&ins->keeper, fds);
	if (r < 0)
		return r;
	r = crew_init(&ins->crew, ins->epoll, fds[0]);
	int desks = desks_init(&ins->desks, ins->epoll, fds + 1, ins->index_ns, putoff_take, ins);
	int fetch = fetch_init(&ins->fetch, ins->epoll, fds[KEEPER_FETCHER], debuginfod,
			       putoff_renew, ins);
	ins->desks.cache = ins->fetch.on;
	if (r < 0 || desks < 0 || fetch < 0)
		return r < 0 ? r : desks < 0 ? desks : fetch;
	crew_call(&ins->crew, lsc_now_ns());
	return crew_await(&ins->crew) && desks_await(&ins->desks) ? 0 : -EIO;
}

int inspector_new(const struct inspector_options *options, inspector_result_fn *fn, void *arg,
		  struct inspector **ret_inspector, struct lsc_err *err)
{
	struct inspector *ins = calloc(1, sizeof(*ins));

	if (!ins)
		return lsc_err_set(err, -ENOMEM, "cannot start the inspector: out of memory");
	ins->fn = fn;
	ins->arg = arg;
	ins->unwind_ns =
		options && options->unwind_deadline_ns ? options->unwind_deadline_ns : UNWIND_NS;
	ins->index_ns =
		options && options->index_deadline_ns ? options->index_deadline_ns : INDEX_NS;
	STAILQ_INIT(&ins->jobs);
	STAILQ_INIT(&ins->put_off);
	int r = start_children(ins, options && options->debuginfod);
	if (r < 0) {
		inspector_free(ins);
		return lsc_err_set(err, r, "cannot start the inspector: %s",
				   r == -EIO ? "its worker did not enter its sandbox"
					     : strerror(-r));
	}
	*ret_inspector = ins;
	return 0;
}

struct inspector *inspector_free(struct inspector *ins)
{
	if (!ins)
		return NULL;
	crew_end(&ins->crew);
	if (ins->keeper > 0) {
		desks_done(&ins->desks);
		fetch_done(&ins->fetch);
		keeper_wait(ins->keeper);
	}
	lsc_closep(&ins->epoll);
	joblist_free(&ins->jobs);
	joblist_free(&ins->put_off);
	free(ins->job);
	free(ins);
	return NULL;
}

int inspector_fd(const struct inspector *ins)
{
	return ins->epoll;
}

size_t inspector_pending(const struct inspector *ins)
{
	return ins->pending;
}

void inspector_children(const struct inspector *ins, int *ret_broker, int *ret_worker)
{
	*ret_broker = ins->crew.pids.broker;
	*ret_worker = ins->crew.pids.worker;
}

bool inspector_next_missed(struct inspector *ins, struct inspector_missed *ret)
{
	return fetch_next_missed(&ins->fetch, ret);
}

bool inspector_fetches(const struct inspector *ins)
{
	return ins->fetch.on;
}

bool inspector_awaits(const struct inspector *ins, const char *build_id)
{
	return fetch_is_under_way(&ins->fetch, build_id, ins->edition);
}

uint32_t inspector_edition(const struct inspector *ins)
{
	return ins->edition;
}

void inspector_end_fetching(struct inspector *ins)
{
	fetch_end(&ins->fetch);
}

int inspector_debuginfod(void)
{
	return fetcher_check();
}

size_t inspector_indexers(const struct inspector *ins, int *pids, size_t max)
{
	size_t n = 0;

	for (int i = 0; i < KEEPER_INDEXERS && n + 2 <= max; i++) {
		pids[n++] = ins->desks.desks[i].crew.pids.broker;
		pids[n++] = ins->desks.desks[i].crew.pids.worker;
	}
	return n;
}

uint64_t inspector_cpu_ns(const struct inspector *ins)
{
	uint64_t ns = crew_cpu_ns(&ins->crew) + crew_cpu_ns(&ins->fetch.crew);

	for (int i = 0; i < KEEPER_INDEXERS; i++)
		ns += crew_cpu_ns(&ins->desks.desks[i].crew);
	return ns;
}

uint64_t inspector_deadline_ns(const struct inspector *ins)
{
	const struct job *oldest = STAILQ_FIRST(&ins->jobs);
	const struct job *oldest_off = STAILQ_FIRST(&ins->put_off);
	uint64_t at = crew_deadline_ns(&ins->crew);
	uint64_t desks = desks_deadline_ns(&ins->desks, lsc_now_ns());
	uint64_t fetch = fetch_deadline_ns(&ins->fetch);

	if (ins->due || ins->broken)
		return 0;
	if (ins->activity != IDLE && ins->deadline.at_ns < at)
		at = ins->deadline.at_ns;
	if (oldest && oldest->queued_ns + JOB_AGE_NS < at)
		at = oldest->queued_ns + JOB_AGE_NS;
	if (oldest_off && oldest_off->queued_ns + JOB_AGE_NS < at)
		at = oldest_off->queued_ns + JOB_AGE_NS;
	at = fetch < at ? fetch : at;
	return desks < at ? desks : at;
}

/* The crew is lost. Whoever it worked for gets a strike, if that is to blame, its job (or all that
 * wait for a target that could not be opened) an answer. */
static void fail(struct inspector *ins, const char *why, bool blame, uint64_t now_ns)
{
	struct job *job = LSC_TAKE(ins->job);
	enum activity activity = ins->activity;
	int pid = 0;

	if (blame && job && ins->mapping && !job->message.no_map) { /* it does without it */
		job->jit = MESSAGE_WHY_LATE;
		strikes_add(&ins->target->map, 1, now_ns);
		STAILQ_INSERT_HEAD(&ins->jobs, job, link);
		job = NULL;
	} else if (activity != IDLE) {
		pid = ins->target->pid;
		if (blame)
			target_strike(ins->target, now_ns);
	}
	ins->activity = IDLE;
	ins->broken = ins->wanted = ins->indexed = false;
	shelf_leave(&ins->desks.shelf, SHELF_ALL_SLOTS);
	target_lose_tables(&ins->targets);
	crew_replace(&ins->crew, now_ns);
	if (job)
		reply_why(ins, job, why);
	if (activity == OPENING)
		reply_target(ins, pid, why);
}

static void begin(struct inspector *ins, enum activity activity, struct target *t,
		  uint64_t phase_ns, uint64_t whole_ns, uint64_t now_ns)
{
	ins->activity = activity;
	ins->target = t;
	ins->map_ns = 0;
	ins->mapping = false;
	/* a target is opened by the broker, too: all of that time counts */
	deadline_begin(&ins->deadline,
		       activity == UNWINDING ? ins->crew.at_work : deadline_child(0), phase_ns,
		       whole_ns, now_ns);
}

/* Starts the next activity, when there is none and something to do. Only sends. */
static void pump(struct inspector *ins, uint64_t now_ns)
{
	struct job *job = STAILQ_FIRST(&ins->jobs);
	int r;

	if (ins->activity != IDLE || ins->broken || ins->crew.state != CREW_UP || !job)
		return;
	struct target *t = target_get(&ins->targets, job->pid, now_ns);
	if (target_quarantined(t, now_ns))
		return; /* inspector_dispatch() answers it */
	if (!t->ready) {
		struct message_open m = {.kind = MESSAGE_OPEN,
					 .slot = target_slot(&ins->targets, t),
					 .pid = job->pid,
					 .tid = job->message.tid};
		r = message_send(ins->crew.broker, &m, sizeof(m), NULL, 0, NULL, 0, MSG_DONTWAIT);
	} else {
		job->message.slot = target_slot(&ins->targets, t);
		job->message.no_map = strikes_hold(&t->map, now_ns);
		r = message_send(ins->crew.worker, &job->message, sizeof(job->message), job->stack,
				 job->size, NULL, 0, MSG_DONTWAIT);
	}
	if (r < 0) { /* nobody's fault: the job waits for the next crew */
		ins->broken = true;
	} else if (!t->ready) {
		desks_meet(&ins->desks, job->pid, job->message.tid);
		t->ready = true; /* until it is forgotten, perhaps while it is opened */
		begin(ins, OPENING, t, ins->index_ns, ins->index_ns, now_ns);
	} else {
		STAILQ_REMOVE_HEAD(&ins->jobs, link);
		ins->job = job;
		begin(ins, UNWINDING, t, ins->indexed ? ins->index_ns : reading_ns(ins, job),
		      INDEX_PER_JOB * ins->index_ns, now_ns);
		ins->indexed = false;
	}
}

/* Reads what the children sent. NULL, or why the crew must go. */
static const char *receive(struct inspector *ins, uint64_t now_ns)
{
	if (!ins->crew.heard)
		return NULL;
	ins->crew.heard = false;
	/* The broker says nothing: only its end can be heard. A job in the worker is not the cause.
	 */
	if (message_recv(ins->crew.broker, ins->buf, sizeof(ins->buf), NULL, 0, MSG_DONTWAIT) !=
	    -EAGAIN) {
		if (ins->activity == UNWINDING) {
			STAILQ_INSERT_HEAD(&ins->jobs, ins->job, link);
			ins->job = NULL;
			ins->activity = IDLE;
		}
		return "broker ended";
	}
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t n = message_recv(ins->crew.worker, ins->buf, sizeof(ins->buf), NULL, 0,
					 MSG_DONTWAIT);
		if (n == -EAGAIN)
			return NULL;
		if (n <= 0)
			return "worker ended";
		if (!heard_take(ins, (size_t)n, now_ns))
			return "worker confused";
		pump(ins, now_ns);
	}
	return NULL;
}

void inspector_dispatch(struct inspector *ins)
{
	uint64_t now = lsc_now_ns();
	const char *why = NULL;
	enum deadline_verdict verdict = DEADLINE_AHEAD;

	crew_listen(ins->epoll);
	crew_step(&ins->crew, now);
	if (ins->crew.state == CREW_UP) {
		why = receive(ins, now);
		if (!why && ins->broken)
			why = "worker ended";
		if (!why && ins->activity != IDLE)
			verdict = deadline_judge(&ins->deadline, now);
		if (verdict != DEADLINE_AHEAD)
			why = "deadline";
	} else if (ins->activity != IDLE) {
		why = "inspector ended";
	}
	if (why)
		fail(ins, why, verdict != DEADLINE_STARVED, now);
	ins->due = false;
	reply_overdue(ins, now);
	fetch_step(&ins->fetch, now);
	desks_step(&ins->desks, now);
	pump(ins, now);
}

int request_add(struct inspector *ins, int pid, const struct message_job *m, const void *data,
		const struct inspector_chain *chain)
{
	if (pid <= 0 || m->tid <= 0)
		return -EINVAL;
	if (ins->pending - ins->nput_off >= JOBS_MAX)
		return -EAGAIN;
	struct job *job = joblist_new(pid, m, data, chain);
	if (!job)
		return -ENOMEM;
	STAILQ_INSERT_TAIL(&ins->jobs, job, link);
	ins->pending++;
	ins->due = true;
	return 0;
}

void inspector_forget(struct inspector *ins, int pid)
{
	struct target *t = target_find(&ins->targets, pid);

	if (t)
		t->ready = t->has_table = false;
}
