/* SPDX-License-Identifier: MIT */
/* Calls that other threads hand to a loop: a locked queue and an eventfd that ends the loop's wait.
 */
#ifndef LSC_LOOP_REMOTE_H
#define LSC_LOOP_REMOTE_H

#include <pthread.h>

#include "list.h"

struct lsc_loop;

struct remote {
	pthread_mutex_t lock;
	struct list calls; /* struct call; under the lock */
	int fd;
};

/* Watches the eventfd with the loop's backend. 0 or -errno. */
int remote_open(struct lsc_loop *loop);
void remote_close(struct lsc_loop *loop);

/* The eventfd was reported: makes the calls that are queued by now. */
void remote_run(struct lsc_loop *loop);

#endif
