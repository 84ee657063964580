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
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/crew.h"
#include "inspect/request.h"
#include "inspect/target.h"

#define JOBS_MAX   256
#define JOB_AGE_NS (10 * LSC_NS_PER_S)
#define UNWIND_NS  (50 * LSC_NS_PER_MS)
#define INDEX_NS   (2 * LSC_NS_PER_S)
#define INDEX_PER_JOB                                                                              \
	4 /* times index_deadline_ns: the whole job, however often it says "index"                 \
	   */
#define REFRESH_NS	  LSC_NS_PER_S
#define MESSAGES_PER_TURN 64

struct job {
	STAILQ_ENTRY(job) link;
	size_t size; /* of what follows the message */
	uint64_t queued_ns;
	bool retried; /* its target was opened once more for it: the next answer is the last */
	int pid;
	struct message_job message;
	uint8_t stack[];
};
STAILQ_HEAD(job_list, job);

enum activity { IDLE, OPENING, UNWINDING };

struct inspector {
	inspector_result_fn *fn;
	void *arg;
	uint64_t unwind_ns, index_ns;
	struct crew crew;
	struct target_set targets;
	struct job_list jobs;
	size_t pending;

	enum activity activity;
	struct target *target; /* of the activity */
	struct job *job;       /* UNWINDING: owns; not in the list */
	uint64_t deadline_ns;  /* of the phase */
	uint64_t limit_ns;     /* of the whole activity */
	bool due;    /* new jobs: what the children said comes first, lest the dead be sent them */
	bool broken; /* a child does not take what it is sent */

	struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
	struct message_page_room page;
	struct inspector_handle handles[INSPECTOR_HANDLES_MAX];
	uint8_t buf[MESSAGE_MAX];
};

static const char *const why_texts[MESSAGE_WHY_COUNT] = {
	[MESSAGE_WHY_NONE] = NULL,
	[MESSAGE_WHY_NO_CFI] = "no unwind information",
	[MESSAGE_WHY_LOOP] = "the stack loops",
	[MESSAGE_WHY_UNREADABLE] = "no readable ELF file",
	[MESSAGE_WHY_VERSION] = "not a version that is known",
	[MESSAGE_WHY_LAYOUT] = "its memory is not as its version has it",
	[MESSAGE_WHY_NO_STATE] = "the thread is not known to CPython",
	[MESSAGE_WHY_NO_FIT] = "they do not fit the native stack",
	[MESSAGE_WHY_CHANGED] = "their code is not there any more",
	[MESSAGE_WHY_BUILD] = "its debug file is of another build",
	[MESSAGE_WHY_OWNER] = "the perf map is not the target's own",
	[MESSAGE_WHY_NO_FILE] = "the perf map is not a plain file",
	[MESSAGE_WHY_TOO_LARGE] = "too large",
	[MESSAGE_WHY_FREE_THREADED] = "a free-threaded build of CPython",
};

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
	int r = crew_start(&ins->crew, err);
	if (r < 0) {
		free(ins);
		return r;
	}
	*ret_inspector = ins;
	return 0;
}

struct inspector *inspector_free(struct inspector *ins)
{
	struct job *job;

	if (!ins)
		return NULL;
	crew_end(&ins->crew);
	while ((job = STAILQ_FIRST(&ins->jobs))) {
		STAILQ_REMOVE_HEAD(&ins->jobs, link);
		free(job);
	}
	free(ins->job);
	free(ins);
	return NULL;
}

int inspector_fd(const struct inspector *ins)
{
	return ins->crew.epoll;
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

uint64_t inspector_deadline_ns(const struct inspector *ins)
{
	const struct job *oldest = STAILQ_FIRST(&ins->jobs);
	uint64_t at = crew_deadline_ns(&ins->crew);

	if (ins->due || ins->broken)
		return 0;
	if (ins->activity != IDLE && ins->deadline_ns < at)
		at = ins->deadline_ns;
	if (oldest && oldest->queued_ns + JOB_AGE_NS < at)
		at = oldest->queued_ns + JOB_AGE_NS;
	return at;
}

/* Takes job, which is in no list any more. */
static void answer(struct inspector *ins, struct job *job, const struct inspector_result *result)
{
	ins->pending--;
	ins->fn(result, ins->arg);
	free(job);
}

static void answer_why(struct inspector *ins, struct job *job, const char *why)
{
	struct inspector_result result = {.cookie = job->message.cookie, .why = why};

	answer(ins, job, &result);
}

/* Why a job cannot get frames any more, or NULL. */
typedef const char *verdict_fn(struct inspector *ins, const struct job *job, uint64_t now_ns,
			       const void *arg);

/* Answers all waiting jobs with a verdict. The list is settled before the first call of fn, which
 * may add jobs. */
static void answer_waiting(struct inspector *ins, verdict_fn *verdict, const void *arg,
			   uint64_t now_ns)
{
	struct job_list keep = STAILQ_HEAD_INITIALIZER(keep);
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	struct job *job;

	while ((job = STAILQ_FIRST(&ins->jobs))) {
		STAILQ_REMOVE_HEAD(&ins->jobs, link);
		if (verdict(ins, job, now_ns, arg))
			STAILQ_INSERT_TAIL(&done, job, link);
		else
			STAILQ_INSERT_TAIL(&keep, job, link);
	}
	STAILQ_CONCAT(&ins->jobs, &keep);
	while ((job = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, link);
		answer_why(ins, job, verdict(ins, job, now_ns, arg));
	}
}

static const char *overdue(struct inspector *ins, const struct job *job, uint64_t now_ns,
			   const void *arg)
{
	const struct target *t = target_find(&ins->targets, job->pid);

	(void)arg;
	if (ins->crew.state == CREW_LOST)
		return "inspector ended";
	if (t && target_quarantined(t, now_ns))
		return "quarantined";
	return now_ns - job->queued_ns >= JOB_AGE_NS ? "deadline" : NULL;
}

struct verdict {
	int pid;
	const char *why;
};

static const char *same_target(struct inspector *ins, const struct job *job, uint64_t now_ns,
			       const void *arg)
{
	const struct verdict *v = arg;

	(void)ins, (void)now_ns;
	return job->pid == v->pid ? v->why : NULL;
}

/* The crew is lost. Whoever it worked for gets a strike, its job (or all that wait for a target
 * that could not be opened) an answer. */
static void fail(struct inspector *ins, const char *why, uint64_t now_ns)
{
	struct job *job = LSC_TAKE(ins->job);
	enum activity activity = ins->activity;
	struct verdict v = {.why = why};

	if (activity != IDLE) {
		v.pid = ins->target->pid;
		target_strike(ins->target, now_ns);
	}
	ins->activity = IDLE;
	ins->broken = false;
	target_lose_tables(&ins->targets);
	crew_replace(&ins->crew, now_ns);
	if (job)
		answer_why(ins, job, why);
	if (activity == OPENING)
		answer_waiting(ins, same_target, &v, now_ns);
}

static void begin(struct inspector *ins, enum activity activity, struct target *t,
		  uint64_t phase_ns, uint64_t whole_ns, uint64_t now_ns)
{
	ins->activity = activity;
	ins->target = t;
	ins->deadline_ns = now_ns + phase_ns;
	ins->limit_ns = now_ns + whole_ns;
}

/* How long the job may read memory. */
static uint64_t reading_ns(const struct inspector *ins, const struct job *job)
{
	return job->message.kind == MESSAGE_TASKS ? INSPECTOR_TASKS_NS : ins->unwind_ns;
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
					 .tid = job->message.tid,
					 .flags = t->strikes ? MESSAGE_OPEN_PLAIN : 0};
		r = message_send(ins->crew.broker, &m, sizeof(m), NULL, 0, NULL, 0, MSG_DONTWAIT);
	} else {
		job->message.slot = target_slot(&ins->targets, t);
		r = message_send(ins->crew.worker, &job->message, sizeof(job->message), job->stack,
				 job->size, NULL, 0, MSG_DONTWAIT);
	}
	if (r < 0) { /* nobody's fault: the job waits for the next crew */
		ins->broken = true;
	} else if (!t->ready) {
		t->ready = true; /* until it is forgotten, perhaps while it is opened */
		begin(ins, OPENING, t, ins->index_ns, ins->index_ns, now_ns);
	} else {
		STAILQ_REMOVE_HEAD(&ins->jobs, link);
		ins->job = job;
		begin(ins, UNWINDING, t, reading_ns(ins, job), INDEX_PER_JOB * ins->index_ns,
		      now_ns);
	}
}

static void take_table(struct inspector *ins, int status, uint64_t now_ns)
{
	struct target *t = ins->target;
	struct verdict v = {.pid = t->pid};

	ins->activity = IDLE;
	t->opened_ns = now_ns;
	if (status == 0)
		t->has_table = true;
	/* A process that has just ended is unwound by what was known of it. */
	if (t->has_table)
		return;
	if (status == -ESRCH || status == -ENOENT)
		v.why = "target gone";
	else if (status == -EACCES || status == -EPERM)
		v.why = "no permission";
	else
		v.why = "target unreadable";
	t->ready = false;
	answer_waiting(ins, same_target, &v, now_ns);
}

static struct inspector_task task_of(const struct inspector *ins, const struct message_result *m,
				     size_t size)
{
	const struct message_task *t = &m->task;

	return (struct inspector_task){.address = t->address,
				       .name = message_text(ins->buf, size, m, t->name),
				       .function = message_text(ins->buf, size, m, t->function),
				       .file = message_text(ins->buf, size, m, t->file),
				       .line = t->line};
}

static void take_result(struct inspector *ins, const struct message_result *m, size_t size,
			uint64_t now_ns)
{
	struct job *job = LSC_TAKE(ins->job);
	struct target *t = ins->target;
	bool gone = m->flags & MESSAGE_RESULT_GONE;
	bool stale = m->flags & MESSAGE_RESULT_STALE && now_ns - t->opened_ns >= REFRESH_NS;

	ins->activity = IDLE;
	ins->crew.failures = 0;
	if ((gone || stale) && !job->retried) {
		job->retried = true;
		t->ready = false;
		STAILQ_INSERT_HEAD(&ins->jobs, job, link);
		return;
	}
	struct inspector_result result = {
		.cookie = job->message.cookie,
		.nframes = m->nframes,
		.frames = ins->frames,
		.truncated = m->flags & MESSAGE_RESULT_TRUNCATED,
		.words = m->flags & MESSAGE_RESULT_WORDS ? m->words : NULL,
		.address = m->address,
		.size = m->size,
		.gil = m->gil,
		.place = m->place,
		.state = m->state,
		.task = task_of(ins, m, size),
		.language_why = why_texts[m->language],
		.tally = m->tally,
		.debug_why = why_texts[m->debug],
		.jit_why = why_texts[m->jit],
		.why = why_texts[m->why],
	};
	answer(ins, job, &result);
}

/* Handles, before the answer. False: they are none. */
static bool take_handles(struct inspector *ins, size_t size)
{
	struct inspector_result result = {.cookie = ins->job->message.cookie,
					  .handles = ins->handles};

	if (ins->job->message.kind != MESSAGE_HANDLES ||
	    message_handles_read(ins->buf, size, result.cookie, ins->handles, &result.nhandles,
				 &result.handles_omitted) < 0)
		return false;
	ins->fn(&result, ins->arg);
	return true;
}

/* Some tasks, before the answer. False: it is no such page. */
static bool take_page(struct inspector *ins, size_t size, uint64_t now_ns)
{
	uint64_t cookie = ins->job->message.cookie;
	size_t n;

	if (ins->job->message.kind != MESSAGE_TASKS ||
	    message_page_read(ins->buf, size, cookie, &ins->page, &n) < 0)
		return false;
	struct inspector_result result = {.cookie = cookie, .page = ins->page.tasks, .npage = n};
	/* what was read is on its way; how fast that goes is ours */
	ins->deadline_ns = now_ns + INSPECTOR_TASKS_NS < ins->limit_ns ? now_ns + INSPECTOR_TASKS_NS
								       : ins->limit_ns;
	ins->fn(&result, ins->arg);
	return true;
}

/* One message of the worker. False: it makes no sense. */
static bool take_message(struct inspector *ins, size_t size, uint64_t now_ns)
{
	struct message_status status;
	struct message_result result;

	if (ins->activity == UNWINDING &&
	    message_result_read(ins->buf, size, &result, ins->frames) == 0) {
		if (result.cookie != ins->job->message.cookie)
			return false;
		take_result(ins, &result, size, now_ns);
		return true;
	}
	if (ins->activity == UNWINDING && (take_page(ins, size, now_ns) || take_handles(ins, size)))
		return true;
	if (size != sizeof(status))
		return false;
	memcpy(&status, ins->buf, sizeof(status));
	if (ins->activity == OPENING && status.kind == MESSAGE_TABLE) {
		take_table(ins, status.value, now_ns);
		return true;
	}
	if (ins->activity != UNWINDING || status.kind != MESSAGE_PHASE)
		return false;
	ins->deadline_ns =
		now_ns +
		(status.value == MESSAGE_PHASE_INDEX ? ins->index_ns : reading_ns(ins, ins->job));
	if (ins->deadline_ns > ins->limit_ns)
		ins->deadline_ns = ins->limit_ns;
	return true;
}

/* Reads what the children sent. NULL, or why the crew must go. */
static const char *receive(struct inspector *ins, uint64_t now_ns)
{
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
		if (!take_message(ins, (size_t)n, now_ns))
			return "worker confused";
		pump(ins, now_ns);
	}
	return NULL;
}

void inspector_dispatch(struct inspector *ins)
{
	uint64_t now = lsc_now_ns();
	const char *why = NULL;

	crew_step(&ins->crew, now);
	if (ins->crew.state == CREW_UP) {
		why = receive(ins, now);
		if (!why && ins->broken)
			why = "worker ended";
		if (!why && ins->activity != IDLE && now >= ins->deadline_ns)
			why = "deadline";
	} else if (ins->activity != IDLE) {
		why = "inspector ended";
	}
	if (why)
		fail(ins, why, now);
	ins->due = false;
	answer_waiting(ins, overdue, NULL, now);
	pump(ins, now);
}

int request_add(struct inspector *ins, int pid, const struct message_job *m, const void *data,
		const struct inspector_chain *chain)
{
	size_t tail = chain ? sizeof(*chain) : 0, size = m->size + tail;

	if (pid <= 0 || m->tid <= 0)
		return -EINVAL;
	if (ins->pending >= JOBS_MAX)
		return -EAGAIN;
	struct job *job = malloc(sizeof(*job) + size);
	if (!job)
		return -ENOMEM;
	*job = (struct job){.size = size, .queued_ns = lsc_now_ns(), .pid = pid, .message = *m};
	if (m->size)
		memcpy(job->stack, data, m->size);
	if (tail)
		memcpy(job->stack + m->size, chain, tail);
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
