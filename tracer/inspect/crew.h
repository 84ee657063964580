/* SPDX-License-Identifier: MIT */
/* The collector's hold on its children: the present crew's sockets, its replacement, its absence.
 */
#ifndef LSC_INSPECT_CREW_H
#define LSC_INSPECT_CREW_H

#include "inspect/message.h"

enum crew_state {
	CREW_NONE,  /* at_ns: when one is asked for */
	CREW_ASKED, /* at_ns: when it is late */
	CREW_UP,
	CREW_LOST, /* no keeper: there will be none again */
};

struct crew {
	enum crew_state state;
	uint64_t at_ns;
	unsigned int failures; /* in a row, without a single answer */
	int epoll;	       /* owns; holds the three below */
	int keeper, broker, worker;
	pid_t keeper_pid;
	struct message_crew pids;
};

/* Starts the keeper and waits for a first crew that says it is in its sandbox. */
int crew_start(struct crew *c, struct lsc_err *err);
/* Ends and reaps all. */
void crew_end(struct crew *c);

/* Drops the present crew and has another one come: at once, or later when crews keep failing. */
void crew_replace(struct crew *c, uint64_t now_ns);
/* Goes on with a replacement. Never blocks. */
void crew_step(struct crew *c, uint64_t now_ns);
/* When crew_step() has something to do without an event. UINT64_MAX: never. */
uint64_t crew_deadline_ns(const struct crew *c);

#endif
