/* SPDX-License-Identifier: MIT */
/*
 * Queues between tasks. A waiter is woken, not served: it looks again when it runs, as in asyncio,
 * so that nothing is lost with a task that is cancelled then.
 */
#include <errno.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "loopscope/queue.h"
#include "loopscope/wire.h"
#include "task.h"
#include "waitlist.h"

struct item {
	void *value;
	uint64_t order; /* its turn among all that were put in */
};

struct lsc_queue {
	struct waitlist getters;
	struct waitlist putters;
	struct waitlist joiners;
	enum lsc_queue_order order;
	int (*compare)(const void *a, const void *b);
	size_t max;	   /* 0: no bound */
	size_t unfinished; /* put in, and not lsc_queue_task_done() */
	bool shut;
	struct item *items; /* fifo: a ring from first on; lifo: a stack; priority: a heap */
	size_t first, count, room;
	uint64_t put;
};

struct lsc_queue *lsc_queue_new(enum lsc_queue_order order, size_t max,
				int (*compare)(const void *a, const void *b))
{
	if ((unsigned)order > LSC_PRIORITY || (order == LSC_PRIORITY) != (compare != NULL) ||
	    !loop_thread)
		return NULL;
	struct lsc_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	waitlist_init(&queue->getters);
	waitlist_init(&queue->putters);
	waitlist_init(&queue->joiners);
	queue->order = order;
	queue->compare = compare;
	queue->max = max;
	return queue;
}

struct lsc_queue *lsc_queue_free(struct lsc_queue *queue)
{
	if (!queue)
		return NULL;
	waitlist_close(&queue->getters);
	waitlist_close(&queue->putters);
	waitlist_close(&queue->joiners);
	free(queue->items);
	free(queue);
	return NULL;
}

/* ---- the items ---- */

static struct item *at(const struct lsc_queue *q, size_t i)
{
	return &q->items[(q->first + i) % q->room];
}

static int make_room(struct lsc_queue *q)
{
	if (q->count < q->room)
		return 0;
	size_t room = q->room ? 2 * q->room : 16;
	struct item *grown = malloc(room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (size_t i = 0; i < q->count; i++)
		grown[i] = *at(q, i);
	free(q->items);
	q->items = grown;
	q->first = 0;
	q->room = room;
	return 0;
}

/* Of a heap, which begins at items[0]. Equal ones keep the order in which they came. */
static bool before(const struct lsc_queue *q, const struct item *a, const struct item *b)
{
	int c = q->compare(a->value, b->value);

	return c != 0 ? c < 0 : a->order < b->order;
}

static void sift_up(struct lsc_queue *q, size_t i, struct item item)
{
	for (; i > 0 && before(q, &item, &q->items[(i - 1) / 2]); i = (i - 1) / 2)
		q->items[i] = q->items[(i - 1) / 2];
	q->items[i] = item;
}

static void sift_down(struct lsc_queue *q, size_t i, struct item item)
{
	for (size_t child; (child = 2 * i + 1) < q->count; i = child) {
		if (child + 1 < q->count && before(q, &q->items[child + 1], &q->items[child]))
			child++;
		if (!before(q, &q->items[child], &item))
			break;
		q->items[i] = q->items[child];
	}
	q->items[i] = item;
}

static void insert(struct lsc_queue *q, void *value)
{
	struct item item = {value, q->put++};

	if (q->order == LSC_PRIORITY)
		sift_up(q, q->count++, item);
	else
		*at(q, q->count++) = item;
}

static void *extract(struct lsc_queue *q)
{
	void *value;

	if (q->order == LSC_LIFO)
		return at(q, --q->count)->value;
	value = q->items[q->first].value;
	q->count--;
	if (q->order == LSC_FIFO)
		q->first = (q->first + 1) % q->room;
	else if (q->count > 0)
		sift_down(q, 0, q->items[q->count]);
	return value;
}

/* ---- putting and getting ---- */

int lsc_queue_is_full(const struct lsc_queue *queue)
{
	return queue->max > 0 && queue->count >= queue->max;
}

int lsc_queue_put_nowait(struct lsc_queue *queue, void *item)
{
	if (debug_is_foreign(queue->getters.loop))
		return -EPERM;
	if (queue->shut)
		return -ESHUTDOWN;
	if (lsc_queue_is_full(queue))
		return -EAGAIN;
	int r = make_room(queue);
	if (r < 0)
		return r;
	insert(queue, item);
	queue->unfinished++;
	waitlist_wake(&queue->getters, 0);
	return 0;
}

int lsc_queue_get_nowait(struct lsc_queue *queue, void **ret_item)
{
	if (debug_is_foreign(queue->getters.loop))
		return -EPERM;
	if (queue->count == 0)
		return queue->shut ? -ESHUTDOWN : -EAGAIN;
	*ret_item = extract(queue);
	waitlist_wake(&queue->putters, 0);
	return 0;
}

int lsc_queue_put(struct lsc_queue *queue, void *item)
{
	struct task *task = task_current();
	int r, woken;

	if (!task)
		return -EPERM;
	while ((r = lsc_queue_put_nowait(queue, item)) == -EAGAIN) {
		r = waitlist_wait(&queue->putters, task, LSC_WAIT_QUEUE, queue->count, &woken);
		if (r == -ECANCELED && woken == 0 && !lsc_queue_is_full(queue))
			waitlist_wake(&queue->putters, 0); /* the place is for the next one */
		if (r < 0)
			return r;
	}
	return r;
}

int lsc_queue_get(struct lsc_queue *queue, void **ret_item)
{
	struct task *task = task_current();
	int r, woken;

	if (!task)
		return -EPERM;
	while ((r = lsc_queue_get_nowait(queue, ret_item)) == -EAGAIN) {
		r = waitlist_wait(&queue->getters, task, LSC_WAIT_QUEUE, 0, &woken);
		if (r == -ECANCELED && woken == 0 && queue->count > 0)
			waitlist_wake(&queue->getters, 0); /* the item is for the next one */
		if (r < 0)
			return r;
	}
	return r;
}

size_t lsc_queue_count(const struct lsc_queue *queue)
{
	return queue->count;
}

/* ---- the end of the work ---- */

int lsc_queue_task_done(struct lsc_queue *queue)
{
	if (queue->unfinished == 0)
		return -EINVAL;
	if (--queue->unfinished == 0)
		waitlist_wake_all(&queue->joiners, 0);
	return 0;
}

int lsc_queue_join(struct lsc_queue *queue)
{
	struct task *task = task_current();
	int woken;

	if (!task)
		return -EPERM;
	if (queue->unfinished == 0)
		return 0;
	return waitlist_wait(&queue->joiners, task, LSC_WAIT_QUEUE, queue->unfinished, &woken);
}

void lsc_queue_shutdown(struct lsc_queue *queue, void (*drop)(void *item))
{
	if (debug_is_foreign(queue->getters.loop))
		return;
	queue->shut = true;
	while (drop && queue->count > 0) {
		drop(extract(queue));
		lsc_queue_task_done(queue);
	}
	waitlist_wake_all(&queue->getters, 0);
	waitlist_wake_all(&queue->putters, 0);
}
