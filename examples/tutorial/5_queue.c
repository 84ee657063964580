/* SPDX-License-Identifier: MIT */
/* Step 5: a waiter, a kitchen, and a queue between them. */
#include <errno.h>
#include <loopscope/loopscope.h>
#include <stdio.h>

#define MS 1000000ull

static int cook(void *arg)
{
	struct lsc_queue *orders = arg;
	void *dish;
	int r;

	/* Ends when the queue is shut down and empty. */
	while ((r = lsc_queue_get(orders, &dish)) == 0) {
		r = lsc_sleep(20 * MS); /* it is in the oven; the waiter goes on */
		if (r < 0)
			return r;
		printf("  ready: %s\n", (const char *)dish);
	}
	return r == -ESHUTDOWN ? 0 : r;
}

static int app(void *arg)
{
	static char *menu[] = {"soup", "fish", "cake"};
	struct lsc_queue *orders = lsc_queue_new(LSC_FIFO, 2, NULL); /* two fit on the board */
	struct lsc_group *kitchen = lsc_group_new();
	int r = orders && kitchen ? 0 : -ENOMEM;

	(void)arg;
	if (r == 0)
		lsc_unref(lsc_group_spawn(kitchen, cook, orders, "cook"));
	for (int i = 0; i < 3 && r == 0; i++) {
		printf("ordered: %s\n", menu[i]);
		r = lsc_queue_put(orders, menu[i]); /* suspends while the board is full */
	}
	if (orders)
		lsc_queue_shutdown(orders, NULL);
	if (kitchen)
		r = lsc_group_end(kitchen, r); /* no child outlives this line */
	lsc_queue_free(orders);
	return r;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
