/* SPDX-License-Identifier: MIT */
/* Nothing here waits, and nothing of a file is parsed. */
#include "inspect/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define WAITING_MAX 1024		 /* more than there are jobs that can be put off */
#define HELP_NS	    (10 * LSC_NS_PER_MS) /* that others wait before one more crew is called */
#define QUEUE_LIMIT 4			 /* times index_ns: then a question is given up */

struct desk_request {
	STAILQ_ENTRY(desk_request) link;
	struct desk_question q;
	struct shelf_file *file; /* pinned */
	bool plain;		 /* without a debug file, which may have been at fault */
	uint32_t edition;	 /* of the file, when it was sent */
	uint64_t queued_ns;
};

int desks_init(struct desks *d, int epoll, const int keeper[KEEPER_INDEXERS], uint64_t index_ns,
	       desk_answer_fn *fn, void *arg)
{
	int r = 0;

	STAILQ_INIT(&d->queue);
	d->index_ns = index_ns;
	d->fn = fn;
	d->arg = arg;
	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		int one = crew_init(&d->desks[i].crew, epoll, keeper[i]);
		r = r < 0 ? r : one;
	}
	return r;
}

bool desks_await(struct desks *d)
{
	crew_call(&d->desks[0].crew, lsc_now_ns());
	return crew_await(&d->desks[0].crew);
}

static void request_free(struct desk_request *r)
{
	if (r)
		r->file->pins--;
	free(r);
}

void desks_done(struct desks *d)
{
	struct desk_request *r;

	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		crew_end(&d->desks[i].crew);
		request_free(d->desks[i].at);
	}
	while ((r = STAILQ_FIRST(&d->queue))) {
		STAILQ_REMOVE_HEAD(&d->queue, link);
		request_free(r);
	}
	shelf_done(&d->shelf);
}

bool desk_is_same_file(const struct desk_question *a, const struct desk_question *b)
{
	return a->pid == b->pid && a->file.dev == b->file.dev && a->file.inode == b->file.inode;
}

static unsigned int find_read(const struct desk *k, const struct desk_question *q)
{
	unsigned int i = 0;

	while (i < k->nread && (k->read[i].pid != q->pid || k->read[i].dev != q->file.dev ||
				k->read[i].inode != q->file.inode))
		i++;
	return i;
}

static void note_read(struct desk *k, const struct desk_question *q)
{
	unsigned int i = find_read(k, q);

	if (i == k->nread && k->nread < DESK_READS)
		k->nread++;
	i = i < DESK_READS ? i : DESK_READS - 1;
	memmove(k->read + 1, k->read, i * sizeof(k->read[0]));
	k->read[0] = (struct desk_read){q->pid, q->file.dev, q->file.inode};
}

/* Its indexer has read nothing, or that very file alone: so what it says is the file's own. */
static bool is_pure(const struct desk *k, const struct desk_question *q)
{
	return !k->nread || (k->nread == 1 && find_read(k, q) == 0);
}

/* A file may have taken over the indexer that read it. Lines are told to one target alone: those of
 * its other files it could make wrong by other means. An index is for all. */
static bool may_ask(const struct desk *k, const struct desk_request *r)
{
	bool lines_alone = r->q.noffsets && r->file->fd >= 0 && r->file->made == r->file->edition;

	return is_pure(k, &r->q) || (lines_alone && k->read[0].pid == r->q.pid);
}

static void add_offsets(struct desk_question *to, const struct desk_question *from)
{
	for (uint32_t i = 0; i < from->noffsets && to->noffsets < MESSAGE_OFFSETS_MAX; i++) {
		bool known = false;
		for (uint32_t k = 0; k < to->noffsets && !known; k++)
			known = to->offsets[k] == from->offsets[i];
		if (!known)
			to->offsets[to->noffsets++] = from->offsets[i];
	}
}

static bool rests(const struct desks *d, const struct shelf_file *f, int pid, uint64_t now_ns)
{
	const struct strikes *cost = shelf_strikes(&d->shelf, f, pid);

	return cost && strikes_hold(cost, now_ns);
}

int desks_ask(struct desks *d, const struct desk_question *q, uint64_t now_ns)
{
	struct shelf_file *f = shelf_get(&d->shelf, q->file.dev, q->file.inode, now_ns);
	struct desk_request *r;

	if (!f)
		return -ENOMEM;
	if (rests(d, f, q->pid, now_ns))
		return -EBUSY;
	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		const struct desk_request *at = d->desks[i].at;
		if (at && desk_is_same_file(&at->q, q) && at->edition == f->edition)
			return 0; /* its answer may say all that is asked */
	}
	STAILQ_FOREACH(r, &d->queue, link)
	{
		if (desk_is_same_file(&r->q, q)) {
			add_offsets(&r->q, q);
			return 0;
		}
	}
	if (d->waiting >= WAITING_MAX)
		return -EAGAIN;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->q = *q;
	r->file = f;
	r->plain = shelf_strikes(&d->shelf, f, q->pid);
	r->queued_ns = now_ns;
	f->pins++;
	STAILQ_INSERT_TAIL(&d->queue, r, link);
	d->waiting++;
	return 0;
}

void desks_renew(struct desks *d, const struct desk_question *q, uint32_t edition, uint64_t now_ns)
{
	struct shelf_file *f = shelf_get(&d->shelf, q->file.dev, q->file.inode, now_ns);

	if (!f)
		return;
	f->edition = edition;
	desks_ask(d, q, now_ns); /* one that is not taken costs no more than the names */
}

void desks_meet(struct desks *d, int pid, int tid)
{
	const struct message_open m = {.kind = MESSAGE_ROOT, .pid = pid, .tid = tid};

	/* one that is lost shows at the next receive; one whose indexer is on its way is told */
	for (int i = 0; i < KEEPER_INDEXERS; i++)
		if (d->desks[i].crew.broker >= 0)
			message_send(d->desks[i].crew.broker, &m, sizeof(m), NULL, 0, NULL, 0,
				     MSG_DONTWAIT);
}

/* Answers with nothing but a status. Takes r. */
static void answer_status(struct desks *d, struct desk_request *r, int status, bool costly)
{
	struct {
		struct message_index head;
		char text;
	} m = {.head = {.kind = MESSAGE_INDEX,
			.status = status,
			.dev = r->q.file.dev,
			.inode = r->q.file.inode,
			.text_size = 1}};

	d->fn(&r->q, r->file, &m, offsetof(typeof(m), text) + 1, -1, costly, d->arg);
	request_free(r);
}

/* Its crew is lost. Once a file is tried again at once, without its debug file. */
static void lose(struct desks *d, struct desk *k, uint64_t now_ns)
{
	struct desk_request *r = LSC_TAKE(k->at);

	crew_replace(&k->crew, now_ns);
	k->nread = 0;
	if (!r)
		return;
	shelf_strike(&d->shelf, r->file, r->q.pid, now_ns);
	if (r->plain) {
		answer_status(d, r, -ETIMEDOUT, true);
		return;
	}
	r->plain = true;
	STAILQ_INSERT_HEAD(&d->queue, r, link);
	d->waiting++;
}

/* The file has changed: its index is for one to make that has read nothing. */
static void renew(struct desks *d, struct desk *k, uint64_t now_ns)
{
	struct desk_request *r = LSC_TAKE(k->at);

	k->nread = 0;
	crew_renew_worker(&k->crew, now_ns);
	STAILQ_INSERT_HEAD(&d->queue, r, link);
	d->waiting++;
}

/* One answer. False: it makes no sense. */
static bool take(struct desks *d, struct desk *k, size_t size, int fd, uint64_t now_ns)
{
	struct message_index m;
	struct desk_request *r = k->at;

	if (!r || index_message_read(d->buf, size, &m) < 0 || m.dev != r->q.file.dev ||
	    m.inode != r->q.file.inode)
		return false;
	bool same = m.flags & MESSAGE_INDEX_SAME;
	if (m.status == 0 && same && r->file->fd < 0)
		return false;
	if (m.status == 0 && !same && !is_pure(k, &r->q)) {
		renew(d, k, now_ns);
		return true;
	}
	if (m.status == 0 && !same) {
		int put = fd < 0 ? -EBADF : shelf_put(&d->shelf, r->file, &m, fd);
		if (put == -EBADF || put == -EBADMSG)
			return false;
		m.status = put;
		r->file->made = put < 0 ? r->file->made : r->edition;
	}
	m.edition = r->file->made;
	k->at = NULL;
	if (m.status < 0 || !same || r->q.noffsets)
		note_read(k, &r->q);
	k->crew.failures = 0;
	if (m.status < 0) {
		answer_status(d, r, m.status, false);
		return true;
	}
	if (same) { /* it says nothing of the index itself */
		m.head = r->file->head.head;
		m.debug = m.debug ? m.debug : r->file->head.debug;
		if (!m.lacks[0])
			memcpy(m.lacks, r->file->head.lacks, sizeof(m.lacks));
	}
	memcpy(d->buf, &m, sizeof(m));
	d->fn(&r->q, r->file, d->buf, size, r->file->fd, false, d->arg);
	request_free(r);
	return true;
}

/* False: the crew must go. */
static bool receive(struct desks *d, struct desk *k, uint64_t now_ns)
{
	if (!k->crew.heard)
		return true;
	k->crew.heard = false;
	/* The broker says nothing: only its end can be heard. */
	if (message_recv(k->crew.broker, d->buf, sizeof(d->buf), NULL, 0, MSG_DONTWAIT) != -EAGAIN)
		return false;
	for (;;) {
		lsc_autoclose int fd = -1;
		ssize_t n =
			message_recv(k->crew.worker, d->buf, sizeof(d->buf), &fd, 1, MSG_DONTWAIT);
		if (n == -EAGAIN)
			return true;
		if (n <= 0 || !take(d, k, (size_t)n, fd, now_ns))
			return false;
		if (k->crew.state != CREW_UP)
			return true;
	}
}

/* The first question about a file that no desk is at, of a target that would leave one to others.
 */
static struct desk_request *next_for(struct desks *d)
{
	struct desk_request *r;

	STAILQ_FOREACH(r, &d->queue, link)
	{
		unsigned int busy = 0;
		for (int i = 0; i < KEEPER_INDEXERS; i++) {
			const struct desk_request *at = d->desks[i].at;
			if (at && at->file == r->file)
				busy = KEEPER_INDEXERS;
			busy += at && at->q.pid == r->q.pid;
		}
		if (busy < KEEPER_INDEXERS - 1)
			return r;
	}
	return NULL;
}

static int send_question(const struct desks *d, struct desk *k, const struct desk_request *r)
{
	struct {
		uint64_t offsets[MESSAGE_OFFSETS_MAX];
		char path[MESSAGE_TEXT_MAX];
	} tail;
	struct message_file m = {.kind = MESSAGE_FILE,
				 .flags = r->plain   ? MESSAGE_FILE_PLAIN
					  : d->cache ? MESSAGE_FILE_CACHE
						     : 0,
				 .edition = r->edition,
				 .pid = r->q.pid,
				 .tid = r->q.tid,
				 .noffsets = r->q.noffsets,
				 .file = r->q.file};
	size_t offsets = m.noffsets * sizeof(tail.offsets[0]), path = strlen(r->q.path);

	if (r->file->fd >= 0 && r->file->made == r->edition)
		m.known = r->file->head.stamp;
	memcpy(&tail, r->q.offsets, offsets);
	memcpy((char *)&tail + offsets, r->q.path, path);
	return message_send(k->crew.broker, &m, sizeof(m), &tail, offsets + path, NULL, 0,
			    MSG_DONTWAIT);
}

/* How well it would do: best one whose indexer has read that very file, then one that has read
 * nothing, then others that may be asked. */
static int rate(const struct desk *k, const struct desk_request *r)
{
	if (!may_ask(k, r))
		return 0;
	return find_read(k, &r->q) < k->nread ? 3 : !k->nread ? 2 : 1;
}

/* The desk that is best for it, of equal ones that which was used longest ago. NULL: none is free.
 */
static struct desk *desk_for(struct desks *d, const struct desk_request *r)
{
	struct desk *best = NULL;

	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		struct desk *k = &d->desks[i];
		if (k->crew.state != CREW_UP || k->at)
			continue;
		int more = best ? rate(k, r) - rate(best, r) : 1;
		if (more > 0 || (more == 0 && k->used_ns < best->used_ns))
			best = k;
	}
	return best;
}

static bool is_one_coming(const struct desks *d)
{
	for (int i = 0; i < KEEPER_INDEXERS; i++)
		if (d->desks[i].crew.state == CREW_ASKED)
			return true;
	return false;
}

/* Has an idle crew begin, or its indexer replaced where it may not be asked. False: nothing is to
 * be done for now. */
static bool start(struct desks *d, uint64_t now_ns)
{
	struct desk_request *r = next_for(d);
	struct desk *k = r ? desk_for(d, r) : NULL;

	if (!k)
		return false;
	if (!may_ask(k, r)) {
		if (is_one_coming(d) && now_ns < r->queued_ns + HELP_NS)
			return false;
		k->nread = 0;
		crew_renew_worker(&k->crew, now_ns);
		return false;
	}
	STAILQ_REMOVE(&d->queue, r, desk_request, link);
	d->waiting--;
	r->edition = r->file->edition;
	if (send_question(d, k, r) < 0) { /* nobody's fault */
		STAILQ_INSERT_HEAD(&d->queue, r, link);
		d->waiting++;
		k->nread = 0;
		crew_replace(&k->crew, now_ns);
		return true;
	}
	k->at = r;
	k->used_ns = now_ns;
	k->deadline_ns = now_ns + d->index_ns;
	return true;
}

/* Answers what has waited for too long, or is about a file that was quarantined meanwhile. */
static void give_up(struct desks *d, uint64_t now_ns)
{
	struct desk_queue keep = STAILQ_HEAD_INITIALIZER(keep);
	struct desk_request *r;

	while ((r = STAILQ_FIRST(&d->queue))) {
		STAILQ_REMOVE_HEAD(&d->queue, link);
		if (now_ns < r->queued_ns + QUEUE_LIMIT * d->index_ns &&
		    !rests(d, r->file, r->q.pid, now_ns)) {
			STAILQ_INSERT_TAIL(&keep, r, link);
			continue;
		}
		d->waiting--;
		answer_status(d, r, -ETIMEDOUT, false);
	}
	STAILQ_CONCAT(&d->queue, &keep);
}

/* One more crew, when a question has waited and none is on its way. */
static void call_help(struct desks *d, uint64_t now_ns)
{
	const struct desk_request *late = next_for(d);

	if (!late || now_ns < late->queued_ns + HELP_NS)
		return;
	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		struct crew *c = &d->desks[i].crew;
		if (c->state == CREW_ASKED)
			return;
		if (c->state == CREW_NONE && c->at_ns == UINT64_MAX) {
			crew_call(c, now_ns);
			return;
		}
	}
}

void desks_step(struct desks *d, uint64_t now_ns)
{
	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		struct desk *k = &d->desks[i];
		crew_step(&k->crew, now_ns);
		if (k->crew.state == CREW_UP && !receive(d, k, now_ns))
			lose(d, k, now_ns);
		else if (k->at && (now_ns >= k->deadline_ns || k->crew.state != CREW_UP))
			lose(d, k, now_ns);
	}
	give_up(d, now_ns);
	while (start(d, now_ns))
		;
	call_help(d, now_ns);
}

uint64_t desks_deadline_ns(const struct desks *d, uint64_t now_ns)
{
	uint64_t at = UINT64_MAX;

	for (int i = 0; i < KEEPER_INDEXERS; i++) {
		const struct desk *k = &d->desks[i];
		uint64_t crew = crew_deadline_ns(&k->crew);
		at = crew < at ? crew : at;
		at = k->at && k->deadline_ns < at ? k->deadline_ns : at;
	}
	const struct desk_request *r = STAILQ_FIRST(&d->queue);
	if (r) { /* it waits for an idle crew, for one more, or to be given up */
		uint64_t next = r->queued_ns + HELP_NS;
		if (next <= now_ns)
			next = r->queued_ns + QUEUE_LIMIT * d->index_ns;
		at = next < at ? next : at;
	}
	return at;
}
