/* SPDX-License-Identifier: MIT */
/* Step 4: enough waited. Cancelling is an error that a call returns. */
#include <errno.h>
#include <loopscope/loopscope.h>
#include <stdio.h>
#include <string.h>

#define MS 1000000ull

static int slow_dish(void *arg)
{
	(void)arg;
	int r = lsc_sleep(10000 * MS);
	if (r == -ECANCELED)
		puts("the cook puts the pan away");
	return r;
}

static int app(void *arg)
{
	struct lsc_future *dish = lsc_spawn(slow_dish, NULL, "slow dish");
	struct lsc_timeout timeout;

	(void)arg;
	if (!dish)
		return -ENOMEM;
	/* A bound for one future ... */
	int r = lsc_wait_for(dish, 50 * MS);
	printf("the guest: %s\n", strerror(-r));
	lsc_unref(dish);
	/* ... and one for whatever happens between two points. */
	lsc_timeout_begin(&timeout, 50 * MS);
	r = slow_dish(NULL);
	r = lsc_timeout_end(&timeout, r);
	printf("the guest: %s\n", strerror(-r));
	return 0;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
