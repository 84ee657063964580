/* SPDX-License-Identifier: MIT */
/*
 * Captures for the tests of report/, made with the store's own API: one program (redis-server, pid
 * 4242) with one loop, and whatever a test puts into it. Failures end the test.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include "analysis/analysis.h"
#include "base/clock.h"

#define FIXTURE_START (1000 * LSC_NS_PER_S)
#define MS(n)	      ((uint64_t)(n)*LSC_NS_PER_MS)

struct fixture {
	char path[64];
	struct store *s;
	uint64_t offset; /* of the frames of later stacks */
};

/* A new capture under a temporary name, or at path. */
void fixture_begin(struct fixture *f, const char *path);
/* Ends it: 10 s, full coverage unless the test says otherwise afterwards through meta. */
void fixture_end(struct fixture *f);
/* Ends it, analyses it and removes the file. */
void fixture_analyse(struct fixture *f, struct analysis *ret);
/* Analyses a file that has its end already and removes it. */
void fixture_open(const struct fixture *f, struct analysis *ret);

/* A stack whose frames, leaf first, are "lang|function|file|line|module" texts; empty is unknown.
 */
void fixture_stack(struct fixture *f, int64_t id, const char *const *frames);
/* The usual one: clock_nanosleep in libc, called from `function` at app.c:line. */
void fixture_native(struct fixture *f, int64_t id, const char *function, int line);
/* A stall that one cause fills, `at_ms` after the start, with one block of `syscall` unless NULL.
 */
void fixture_stall(struct fixture *f, int64_t id, unsigned at_ms, unsigned ms, enum lsc_cause cause,
		   const char *syscall, int64_t stack);
void fixture_task(struct fixture *f, int64_t id, const char *name);
/* Of a loop without a ring. */
void fixture_callback(struct fixture *f, int64_t id, const char *name);
void fixture_wait(struct fixture *f, int64_t id, enum store_wait_kind kind, unsigned at_ms,
		  unsigned ms, int64_t task);

void fixture_mark(struct fixture *f, uint64_t at_ns, int64_t task, const char *text);

/* Scenes that the command tests use too. */
void fixture_healthy(struct fixture *f);
void fixture_sleeping(
	struct fixture *f); /* three sleeps of 300 ms in debugCommand, 20 sockets wait */
void fixture_hostile(struct fixture *f);
void fixture_host(struct fixture *f); /* 80 ms on the run queue */

/* The finding of a rule; NULL when there is none. */
const struct finding *fixture_finding(const struct analysis *a, const char *rule);

#endif
