/* SPDX-License-Identifier: MIT */
/* The inspector as its own files know it: the collector's side. */
#ifndef LSC_INSPECT_STATE_H
#define LSC_INSPECT_STATE_H

#include "base/clock.h"
#include "inspect/desk.h"
#include "inspect/fetch.h"
#include "inspect/joblist.h"
#include "inspect/target.h"

#define JOBS_MAX   256
#define JOB_AGE_NS (10 * LSC_NS_PER_S)

enum activity { IDLE, OPENING, UNWINDING };

struct inspector {
	inspector_result_fn *fn;
	void *arg;
	uint64_t unwind_ns, index_ns;
	pid_t keeper;
	int epoll; /* owns */
	struct crew crew;
	struct desks desks;
	struct fetch fetch;
	uint32_t edition; /* the newest of an index that the worker has */
	struct target_set targets;
	struct job_list jobs;
	struct job_list put_off; /* until an indexer has found out something */
	size_t pending, nput_off;

	enum activity activity;
	struct target *target;	  /* of the activity */
	struct job *job;	  /* UNWINDING: owns; not in the list */
	struct deadline deadline; /* of the activity */
	bool mapping;		  /* its phase is that of a perf map ... */
	uint64_t map_ns;	  /* ... which has had so much time in earlier phases of the job */
	bool due;     /* new jobs: what the children said comes first, lest the dead be sent them */
	bool broken;  /* a child does not take what it is sent */
	bool indexed; /* the worker was sent indexes, which it takes before the next job */

	bool wanted; /* the job that runs lacks what is asked in question */
	struct desk_question question;

	struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
	struct message_page_room page;
	struct inspector_handle handles[INSPECTOR_HANDLES_MAX];
	uint8_t buf[MESSAGE_MAX];
};

/* How long the job may read memory. */
static inline uint64_t reading_ns(const struct inspector *ins, const struct job *job)
{
	return job->message.kind == MESSAGE_TASKS ? INSPECTOR_TASKS_NS : ins->unwind_ns;
}

#endif
