/* SPDX-License-Identifier: MIT */
#include "inspect/putoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ROUNDS_MAX  256		   /* of one job: it may meet each file, and lines in each */
#define PUT_OFF_MAX (2 * JOBS_MAX) /* beside those that wait for the worker */

/* Hands the worker what an indexer has found out, or that it has found out nothing. */
static void send_index(struct inspector *ins, struct target *t, const struct message_index *m,
		       const void *rest, size_t rest_size, int fd)
{
	struct message_index head = *m;

	head.slot = target_slot(&ins->targets, t);
	if (ins->crew.state == CREW_UP && !ins->broken &&
	    message_send(ins->crew.worker, &head, sizeof(head), rest, rest_size, &fd, fd >= 0,
			 MSG_DONTWAIT) < 0)
		ins->broken = true;
	ins->indexed = true;
}

static bool may_put_off(const struct inspector *ins, int pid)
{
	return ins->nput_off < PUT_OFF_MAX && joblist_count(&ins->put_off, pid) < JOBS_MAX;
}

void putoff_job(struct inspector *ins, struct job *job, uint64_t now_ns)
{
	struct desk_question *q = &ins->question;
	struct target *t = ins->target;

	q->pid = job->pid;
	q->tid = job->message.tid;
	if (++job->rounds > ROUNDS_MAX || !may_put_off(ins, job->pid)) {
		job->message.make_do = 1;
	} else if (!strikes_hold(&t->files, now_ns) && desks_ask(&ins->desks, q, now_ns) == 0) {
		job->dev = q->file.dev;
		job->inode = q->file.inode;
		STAILQ_INSERT_TAIL(&ins->put_off, job, link);
		ins->nput_off++;
		return;
	} else {
		struct message_index m = {.kind = MESSAGE_INDEX,
					  .status = -ETIMEDOUT,
					  .dev = q->file.dev,
					  .inode = q->file.inode,
					  .text_size = 1};
		send_index(ins, t, &m, "", 1, -1);
	}
	STAILQ_INSERT_HEAD(&ins->jobs, job, link);
}

static bool is_about(const struct job *job, const void *arg)
{
	const struct desk_question *q = arg;

	return job->pid == q->pid && job->dev == q->file.dev && job->inode == q->file.inode;
}

void putoff_take(const struct desk_question *q, struct shelf_file *file, const void *message,
		 size_t size, int fd, bool costly, void *arg)
{
	struct inspector *ins = arg;
	struct target *t = target_find(&ins->targets, q->pid);
	struct job_list go = STAILQ_HEAD_INITIALIZER(go);
	struct message_index m;

	memcpy(&m, message, sizeof(m));
	if (t && costly)
		target_strike_files(t, lsc_now_ns());
	if (t && t->has_table) {
		uint32_t slot = target_slot(&ins->targets, t);
		if (fd >= 0 && !shelf_use(&ins->desks.shelf, file, slot)) {
			m.status = -EFBIG;
			fd = -1;
		}
		send_index(ins, t, &m, (const char *)message + sizeof(m), size - sizeof(m), fd);
		if (m.status == 0 && m.edition > ins->edition)
			ins->edition = m.edition;
	}
	if (m.lacks[0])
		fetch_want(&ins->fetch, q, m.lacks, m.edition, lsc_now_ns());
	ins->nput_off -= joblist_take(&ins->put_off, is_about, q, &go);
	STAILQ_CONCAT(&go, &ins->jobs);
	STAILQ_CONCAT(&ins->jobs, &go);
}

void putoff_renew(const struct desk_question *q, uint32_t edition, void *arg)
{
	struct inspector *ins = arg;

	desks_renew(&ins->desks, q, edition, lsc_now_ns());
}

bool inspector_is_indexing(const struct inspector *ins, int pid)
{
	const struct job *job;

	/* one that was put off is not answered the moment that it is not any more */
	if (ins->job && ins->job->pid == pid && ins->job->rounds)
		return true;
	STAILQ_FOREACH(job, &ins->jobs, link)
	{
		if (job->pid == pid && job->rounds)
			return true;
	}
	return joblist_count(&ins->put_off, pid);
}
