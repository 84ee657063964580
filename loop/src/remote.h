/* SPDX-License-Identifier: MIT */
/* Calls that other threads hand to a loop: a locked queue and an eventfd that ends the loop's wait.
 */
#ifndef LSC_LOOP_REMOTE_H
#define LSC_LOOP_REMOTE_H

#include <pthread.h>
#include <stdint.h>

#include "backend.h"
#include "list.h"

struct lsc_loop;

/* What the backend reports when the eventfd was written; no descriptor's token. */
#define REMOTE_TOKEN UINT64_MAX

/* Lies in what is handed over; free for anything else once run() is called. */
struct remote_call {
	struct list link;
	void (*run)(struct remote_call *call); /* by the loop, outside of any task */
	/* The loop ends before run() could be called; NULL: nothing to release. */
	void (*drop)(struct remote_call *call);
};

struct remote {
	pthread_mutex_t lock;
	struct list calls; /* struct remote_call; under the lock */
	int fd;
	struct backend_watch watch;
};

/* Watches the eventfd with the loop's backend. 0 or -errno. */
int remote_open(struct lsc_loop *loop);
void remote_close(struct lsc_loop *loop);

/* Has call->run() called in the loop's next tick; calls keep their order. For any thread; never
 * fails. The caller sees to it that the loop still exists. */
void remote_post(struct lsc_loop *loop, struct remote_call *call);

/* The eventfd was reported: makes the calls that are queued by now. */
void remote_run(struct lsc_loop *loop);

#endif
