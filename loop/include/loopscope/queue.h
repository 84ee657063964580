/* SPDX-License-Identifier: MIT */
/* Queues between tasks of one loop. */
#ifndef LOOPSCOPE_QUEUE_H
#define LOOPSCOPE_QUEUE_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_queue;

enum lsc_queue_order {
	LSC_FIFO,     /* what was put in first leaves first */
	LSC_LIFO,     /* what was put in last leaves first */
	LSC_PRIORITY, /* the least leaves first; equal ones as they came */
};

/* A queue of pointers, at most max of them (0: no bound). compare, for LSC_PRIORITY and for nothing
 * else, says as for qsort(3), but of the items themselves, which is less. NULL when out of memory,
 * for arguments that do not fit, or when this thread has no loop. */
LSC_API struct lsc_queue *lsc_queue_new(enum lsc_queue_order order, size_t max,
					int (*compare)(const void *a, const void *b));

/* Takes the queue, not the items; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_queue *lsc_queue_free(struct lsc_queue *queue);

/* Suspends while the queue is full, then puts the item in. 0; -ESHUTDOWN after
 * lsc_queue_shutdown(), -ENOMEM, -EPERM, -ECANCELED (the item is not in), -EIDRM. */
LSC_API int lsc_queue_put(struct lsc_queue *queue, void *item);

/* The same without suspending: -EAGAIN when the queue is full. */
LSC_API int lsc_queue_put_nowait(struct lsc_queue *queue, void *item);

/* Suspends while the queue is empty, then takes an item out. 0 and *ret_item; -ESHUTDOWN for an
 * empty one after lsc_queue_shutdown(), -EPERM, -ECANCELED (nothing is out), -EIDRM. */
LSC_API int lsc_queue_get(struct lsc_queue *queue, void **ret_item);

/* The same without suspending: -EAGAIN when the queue is empty. */
LSC_API int lsc_queue_get_nowait(struct lsc_queue *queue, void **ret_item);

/* Items in it. Never fails. */
LSC_API size_t lsc_queue_count(const struct lsc_queue *queue);

/* 1 when it has a bound and has reached it. Never fails. */
LSC_API int lsc_queue_is_full(const struct lsc_queue *queue);

/* The work on an item that was got is done. 0; -EINVAL when called more often than items were put
 * in. */
LSC_API int lsc_queue_task_done(struct lsc_queue *queue);

/* Suspends until lsc_queue_task_done() was called for each item. 0, -EPERM, -ECANCELED, -EIDRM. */
LSC_API int lsc_queue_join(struct lsc_queue *queue);

/* Nothing goes in any more. drop NULL: what is in can be got. Otherwise it is out at once:
 * drop(item) is called for each, in the order in which they would leave, and their work counts as
 * done. Who waits in vain gets -ESHUTDOWN. */
LSC_API void lsc_queue_shutdown(struct lsc_queue *queue, void (*drop)(void *item));

LSC_END

#endif
