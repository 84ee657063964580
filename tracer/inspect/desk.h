/* SPDX-License-Identifier: MIT */
/*
 * The collector's side of the indexers: what is asked about targets' files waits at a few desks, a
 * crew each, one file at a time. A file that hangs its crew keeps one desk busy until the deadline;
 * the others serve what comes meanwhile, and no target may have all of them.
 */
#ifndef LSC_INSPECT_DESK_H
#define LSC_INSPECT_DESK_H

#include <sys/queue.h>

#include "inspect/crew.h"
#include "inspect/keeper.h"
#include "inspect/shelf.h"

/* A file of a target, and addresses in it whose lines are asked for. */
struct desk_question {
	int pid, tid;
	struct message_piece file;
	uint32_t noffsets;
	uint64_t offsets[MESSAGE_OFFSETS_MAX];
	char path[MESSAGE_TEXT_MAX];
};

/* message, of size bytes, is a checked MESSAGE_INDEX; fd the index, or -1 when its status says that
 * there is none. Both are borrowed. costly: the file has cost a crew. */
typedef void desk_answer_fn(const struct desk_question *q, struct shelf_file *file,
			    const void *message, size_t size, int fd, bool costly, void *arg);

struct desk_request;
STAILQ_HEAD(desk_queue, desk_request);

#define DESK_READS 4 /* files that an indexer keeps open */

/* A file that an indexer has read. */
struct desk_read {
	int pid;
	uint64_t dev, inode;
};

struct desk {
	struct crew crew;
	struct desk_request *at; /* owns; what its crew is at */
	/* By its indexer: files of one target, the last ones first. Where it is more than one it
	 * tells of lines alone. */
	struct desk_read read[DESK_READS];
	unsigned int nread;
	uint64_t used_ns; /* when it was asked last */
	uint64_t deadline_ns;
};

struct desks {
	struct desk desks[KEEPER_INDEXERS];
	struct shelf shelf;
	struct desk_queue queue;
	size_t waiting;
	uint64_t index_ns;
	bool cache; /* debug files that debuginfod has brought count, too */
	desk_answer_fn *fn;
	void *arg;
	uint8_t buf[MESSAGE_MAX];
};

/* Takes the keeper's sockets, borrows epoll. index_ns: the deadline of one file. */
int desks_init(struct desks *d, int epoll, const int keeper[KEEPER_INDEXERS], uint64_t index_ns,
	       desk_answer_fn *fn, void *arg);
/* Has a first crew come, and waits for it. False: it did not enter its sandbox. */
bool desks_await(struct desks *d);
void desks_done(struct desks *d);

/* Queues a question, or adds to one of the same target about the same file. That is answered once,
 * from desks_step(). -EBUSY: the file is quarantined; -EAGAIN: too many wait; -ENOMEM. */
int desks_ask(struct desks *d, const struct desk_question *q, uint64_t now_ns);

/* The same of a file one of whose debug files has come since: it is indexed anew, for whoever asks
 * from now on. */
void desks_renew(struct desks *d, const struct desk_question *q, uint32_t edition, uint64_t now_ns);

/* Whether both are about the same file of the same target. */
bool desk_is_same_file(const struct desk_question *a, const struct desk_question *b);

/* A target that may be asked about, perhaps when it has ended. */
void desks_meet(struct desks *d, int pid, int tid);

/* Takes what crews said, replaces those that are late, sends what waits. Never blocks. */
void desks_step(struct desks *d, uint64_t now_ns);
/* When desks_step() has something to do without an event. UINT64_MAX: never. */
uint64_t desks_deadline_ns(const struct desks *d, uint64_t now_ns);

#endif
