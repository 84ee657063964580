/* SPDX-License-Identifier: MIT */
/*
 * The collector's side of debuginfod: which debug files lack, one question at a time to the
 * fetcher, and who wants to be indexed anew when the answer comes. Nothing waits for it; a server
 * that does not answer costs the names that it would have given.
 */
#ifndef LSC_INSPECT_FETCH_H
#define LSC_INSPECT_FETCH_H

#include <sys/queue.h>

#include "inspect/desk.h"
#include "inspect/strikes.h"

struct fetch_file;
STAILQ_HEAD(fetch_queue, fetch_file);

/* The debug file has come: what was found out of the file before that edition is to be found out
 * again. q is borrowed. */
typedef void fetch_come_fn(const struct desk_question *q, uint32_t edition, void *arg);

struct fetch {
	struct crew crew; /* a fetcher, without a broker */
	bool on;
	struct fetch_file *files; /* by build id; a hash */
	struct fetch_queue queue; /* not asked for yet */
	struct fetch_file *at;	  /* what the fetcher is at; NULL: nothing */
	uint64_t deadline_ns, limit_ns;
	struct strikes silence; /* of the servers */
	uint32_t edition;
	uint64_t turns;
	size_t askers;
	fetch_come_fn *fn;
	void *arg;
};

/* Takes the keeper's socket, borrows epoll. on: ask, if there is a server. 0 or -errno. */
int fetch_init(struct fetch *f, int epoll, int keeper, bool on, fetch_come_fn *fn, void *arg);
void fetch_done(struct fetch *f);

/* The file of q, found out in that edition, lacks a debug file. Each is asked for once. */
void fetch_want(struct fetch *f, const struct desk_question *q, const char *build_id,
		uint32_t edition, uint64_t now_ns);

/* Whether it is waited for, or came with a later edition than this one. */
bool fetch_is_under_way(const struct fetch *f, const char *build_id, uint32_t edition);

/* Takes what the fetcher said, asks for what waits. Never blocks. */
void fetch_step(struct fetch *f, uint64_t now_ns);
/* When fetch_step() has something to do without an event. UINT64_MAX: never. */
uint64_t fetch_deadline_ns(const struct fetch *f);

/* The capture ends: what has not come is not waited for. */
void fetch_end(struct fetch *f);

/* A debug file that has not come, each once. False: there is none that was not told. */
bool fetch_next_missed(struct fetch *f, struct inspector_missed *ret);

#endif
