/* SPDX-License-Identifier: MIT */
/* The collector's hold on some of its children: the sockets of the crew that has one of the
 * keeper's places, its replacement, its absence. */
#ifndef LSC_INSPECT_CREW_H
#define LSC_INSPECT_CREW_H

#include "inspect/deadline.h"
#include "inspect/message.h"

#define CREWS_MAX 5 /* in one epoll */

enum crew_state {
	CREW_NONE,  /* at_ns: when one is asked for; UINT64_MAX: not before crew_call() */
	CREW_ASKED, /* at_ns: when it is late */
	CREW_UP,
	CREW_LOST, /* no keeper: there will be none again */
};

struct crew {
	enum crew_state state;
	uint64_t at_ns;
	unsigned int failures;	    /* in a row, without a single answer */
	bool heard;		    /* one of the three below may have something to say */
	int epoll;		    /* borrowed; holds them, and us as their data */
	int keeper, broker, worker; /* broker -1: the crew has none */
	struct message_crew pids;
	struct deadline_child at_work; /* the worker or indexer */
	uint64_t past_ns;	       /* CPU time of those that were let go of */
};

/* Takes the socket of its place, borrows epoll. There is no crew yet. 0 or -errno. */
int crew_init(struct crew *c, int epoll, int keeper);
/* Has the first one come. */
void crew_call(struct crew *c, uint64_t now_ns);
/* Waits for it to say that it is in its sandbox. False: it does not. */
bool crew_await(struct crew *c);
/* Lets go of it; the keeper ends all. */
void crew_end(struct crew *c);

/* Drops the present crew and has another one come: at once, or later when crews keep failing. */
void crew_replace(struct crew *c, uint64_t now_ns);
/* The same of the worker alone. The broker, which must be at nothing, is given the new one. */
void crew_renew_worker(struct crew *c, uint64_t now_ns);
/* CPU time of all that have been in this place; of one that ended by itself, not. */
uint64_t crew_cpu_ns(const struct crew *c);
/* Notes which crews there is something to be heard of. */
void crew_listen(int epoll);
/* Goes on with a replacement. Never blocks. */
void crew_step(struct crew *c, uint64_t now_ns);
/* When crew_step() has something to do without an event. UINT64_MAX: never. */
uint64_t crew_deadline_ns(const struct crew *c);

#endif
