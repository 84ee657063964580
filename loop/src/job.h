/* SPDX-License-Identifier: MIT */
/* What the loop runs next: tasks and calls, in the order in which they became ready. */
#ifndef LSC_LOOP_JOB_H
#define LSC_LOOP_JOB_H

#include <stddef.h>

struct job;

struct job_ops {
	/* From the loop's own stack; the job is off the queue and may be released. */
	void (*run)(struct job *job);
	/* The loop ends before its turn came; NULL: nothing to release. */
	void (*drop)(struct job *job);
};

/* Lies in what it runs; in one queue at most. */
struct job {
	struct job *next;
	struct job **link; /* what points to it, unless it is the first */
	const struct job_ops *ops;
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
	job->link = queue->last;
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
	if (!job->next)
		queue->last = &queue->first;
	return job;
}

/* Of the queue that the job is in. */
static inline void job_remove(struct job_queue *queue, struct job *job)
{
	if (queue->first == job) {
		job_pop(queue);
		return;
	}
	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	else
		queue->last = job->link;
}

/* Moves all of from to the end of queue; from is empty afterwards. */
static inline void job_splice(struct job_queue *queue, struct job_queue *from)
{
	if (!from->first)
		return;
	from->first->link = queue->last;
	*queue->last = from->first;
	queue->last = from->last;
	job_queue_init(from);
}

#endif
