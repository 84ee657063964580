/* SPDX-License-Identifier: MIT */
/*
 * The collector of one job: kernel events and rings in, a capture out. It owns the probes, the
 * inspector, the targets and the store; a session drives it and tells the client. One thread.
 */
#ifndef LSC_COLLECTOR_H
#define LSC_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "feed.h"
#include "store.h"

struct collector;

enum collector_require { REQUIRE_ANY, REQUIRE_BPF, REQUIRE_RING };

struct collector_options {
	const int *pids;
	size_t npids;
	const char *const *names; /* and those of these names, of this control group; selection.h */
	size_t nnames;
	const char *cgroup; /* NULL: none */
	const int *tids;    /* only these threads; none: all */
	size_t ntids;
	const int *loop_threads; /* these are loops whatever they wait in */
	size_t nloop_threads;
	const char *mode; /* "attach" or "record" */
	const char
		*command; /* of "record", the program that the one process will run; NULL unknown */
	bool follow;
	uint64_t stall_ns, block_ns, ready_wait_ns;
	double max_overhead; /* a share of one CPU; from there on detail is left out */
	uint64_t print_ns;   /* stalls from here are told live; 0: none */
	enum collector_require require;
	const char *output;
	struct store_create_options file;
};

/* A stall as told live. Borrowed until the callback returns. */
struct collector_stall {
	const struct store_stall *row;
	int pid, tid;
	const char *comm;
	enum lsc_cause cause;
	const struct store_block *longest; /* NULL without blocks */
	const struct store_task *task;	   /* NULL unknown */
	const char *const *frames;	   /* "function" or "module+0x1f", leaf first */
	size_t nframes;
	const char *const *owner_frames; /* of the holder of the lock that longest waited for */
	size_t nowner_frames;
	struct feed_victims victims;
	const char *mark; /* the application's latest before the longest block began; NULL none */
	uint64_t mark_ns;
};

struct collector_loop {
	int pid, tid, fd;
	const char *comm, *runtime, *syscall;
	enum store_source source;
};

struct collector_summary {
	uint64_t stalls, blocks, loops, emitted, stored, lost, duration_ns, worst_ns;
	double coverage;
};

struct collector_ops {
	void (*loop)(const struct collector_loop *l, void *arg);
	void (*stall)(const struct collector_stall *s, void *arg);
	void (*notice)(const char *text, void *arg);
};

/* Attaches: targets pinned, probes loaded, threads seeded, capture created. On failure nothing is
 * left behind. ret_exit: 2 or 4 or 125, the exit status that fits a failure. Borrows options until
 * it returns, ops and arg until the end. */
int collector_new(const struct collector_options *options, const struct collector_ops *ops,
		  void *arg, struct collector **ret_collector, int *ret_exit, struct lsc_err *err);

/* An epoll descriptor: readable when collector_dispatch() has work. */
int collector_fd(const struct collector *c);
/* When it has work even if nothing is readable. */
uint64_t collector_deadline_ns(const struct collector *c);
/* Does what is due. readable: so collector_fd() is. Never blocks. */
void collector_dispatch(struct collector *c, bool readable);
/* The loops present at the attach are learned (or were given their time). */
bool collector_is_ready(const struct collector *c);
/* All targets have ended. */
bool collector_is_over(const struct collector *c);
size_t collector_loops(const struct collector *c);
/* The processes that are watched now: their numbers into pids, at most max. How many there are. */
size_t collector_pids(const struct collector *c, int *pids, size_t max);
/* The capture cannot take its place: collector_finish() says why. */
bool collector_is_refused(const struct collector *c);
/* The capture has reached its bound: nothing but its summary is stored any more. */
bool collector_is_full(const struct collector *c);

/* Stops, writes what is pending (bounded wait for stacks), closes the capture, frees c. exit_status
 * -1: none. -ENODATA: aborted with nothing captured; no file was written or replaced. */
int collector_finish(struct collector *c, const char *reason, int exit_status,
		     struct collector_summary *ret_summary, struct lsc_err *err);

#endif
