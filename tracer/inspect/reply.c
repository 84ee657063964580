/* SPDX-License-Identifier: MIT */
#include "inspect/reply.h"

#include <stdlib.h>

void reply(struct inspector *ins, struct job *job, const struct inspector_result *result)
{
	ins->pending--;
	ins->fn(result, ins->arg);
	free(job);
}

void reply_why(struct inspector *ins, struct job *job, const char *why)
{
	struct inspector_result result = {.cookie = job->message.cookie, .why = why};

	reply(ins, job, &result);
}

static bool is_of_target(const struct job *job, const void *arg)
{
	return job->pid == *(const int *)arg;
}

void reply_target(struct inspector *ins, int pid, const char *why)
{
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	struct job *job;

	joblist_take(&ins->jobs, is_of_target, &pid, &done);
	while ((job = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, link);
		reply_why(ins, job, why);
	}
}

struct moment {
	struct inspector *ins;
	uint64_t now_ns;
};

/* NULL: nothing speaks against it. */
static const char *verdict(const struct job *job, const struct moment *m)
{
	const struct target *t = target_find(&m->ins->targets, job->pid);

	if (m->ins->crew.state == CREW_LOST)
		return "inspector ended";
	if (t && target_quarantined(t, m->now_ns))
		return "quarantined";
	/* one that an answer led to is younger than this moment */
	return m->now_ns >= job->queued_ns + JOB_AGE_NS ? "deadline" : NULL;
}

static bool is_overdue(const struct job *job, const void *arg)
{
	return verdict(job, arg);
}

void reply_overdue(struct inspector *ins, uint64_t now_ns)
{
	struct job_list done = STAILQ_HEAD_INITIALIZER(done);
	struct moment m = {ins, now_ns};
	struct job *job;

	joblist_take(&ins->jobs, is_overdue, &m, &done);
	ins->nput_off -= joblist_take(&ins->put_off, is_overdue, &m, &done);
	/* the lists are settled before the first call of fn, which may add jobs */
	while ((job = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, link);
		reply_why(ins, job, verdict(job, &m));
	}
}
