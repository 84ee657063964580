/* SPDX-License-Identifier: MIT */
#include "inspect/joblist.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct job *joblist_new(int pid, const struct message_job *m, const void *data,
			const struct inspector_chain *chain)
{
	size_t tail = chain ? sizeof(*chain) : 0, size = m->size + tail;
	struct job *job = malloc(sizeof(*job) + size);

	if (!job)
		return NULL;
	*job = (struct job){.size = size, .queued_ns = lsc_now_ns(), .pid = pid, .message = *m};
	if (m->size)
		memcpy(job->stack, data, m->size);
	if (tail)
		memcpy(job->stack + m->size, chain, tail);
	return job;
}

void joblist_free(struct job_list *list)
{
	struct job *job;

	while ((job = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		free(job);
	}
}

size_t joblist_take(struct job_list *list, joblist_fn *is_meant, const void *arg,
		    struct job_list *ret)
{
	struct job_list keep = STAILQ_HEAD_INITIALIZER(keep);
	struct job *job;
	size_t n = 0;

	while ((job = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		if (is_meant(job, arg)) {
			STAILQ_INSERT_TAIL(ret, job, link);
			n++;
		} else {
			STAILQ_INSERT_TAIL(&keep, job, link);
		}
	}
	STAILQ_CONCAT(list, &keep);
	return n;
}

size_t joblist_count(const struct job_list *list, int pid)
{
	const struct job *job;
	size_t n = 0;

	STAILQ_FOREACH(job, list, link)
	{
		n += job->pid == pid;
	}
	return n;
}
