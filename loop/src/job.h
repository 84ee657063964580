/* SPDX-License-Identifier: MIT */
/* What the loop runs next: tasks and calls, in the order in which they became ready. */
#ifndef LSC_LOOP_JOB_H
#define LSC_LOOP_JOB_H

#include <stddef.h>

/* Lies in what it runs; in one queue at most. */
struct job {
	struct job *next;
	void (*run)(struct job *job); /* from the loop's own stack */
};

struct job_queue {
	struct job *first;
	struct job **last; /* where the next one is linked */
};

static inline void job_queue_init(struct job_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

static inline void job_push(struct job_queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->last = job;
	queue->last = &job->next;
}

/* The first, which leaves the queue, or NULL. */
static inline struct job *job_pop(struct job_queue *queue)
{
	struct job *job = queue->first;

	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	return job;
}

/* Moves all of from to the end of queue; from is empty afterwards. */
static inline void job_splice(struct job_queue *queue, struct job_queue *from)
{
	if (!from->first)
		return;
	*queue->last = from->first;
	queue->last = from->last;
	job_queue_init(from);
}

#endif
