/* SPDX-License-Identifier: MIT */
/* What the inspector was asked, and lists of it. */
#ifndef LSC_INSPECT_JOBLIST_H
#define LSC_INSPECT_JOBLIST_H

#include <sys/queue.h>

#include "inspect/message.h"

struct job {
	STAILQ_ENTRY(job) link;
	size_t size; /* of what follows the message */
	uint64_t queued_ns;
	bool retried; /* its target was opened once more for it: the next answer is the last */
	bool looked;  /* ... because of an unknown address */
	unsigned int rounds; /* how often it was put off */
	uint64_t dev, inode; /* of the file that it is put off for */
	uint32_t debug, jit; /* what an answer said once, after which it was run once more */
	int pid;
	struct message_job message;
	uint8_t stack[];
};
STAILQ_HEAD(job_list, job);

/* Makes one of m, m->size bytes of data, and the chain, which may be NULL. Copies all. NULL out of
 * memory. */
struct job *joblist_new(int pid, const struct message_job *m, const void *data,
			const struct inspector_chain *chain);

void joblist_free(struct job_list *list);

/* Moves those that are meant, in their order, to the end of ret. Their number. */
typedef bool joblist_fn(const struct job *job, const void *arg);
size_t joblist_take(struct job_list *list, joblist_fn *is_meant, const void *arg,
		    struct job_list *ret);

/* How many are of a process. */
size_t joblist_count(const struct job_list *list, int pid);

#endif
