/* SPDX-License-Identifier: MIT */
/* Step 2: two tasks side by side. */
#include <errno.h>
#include <loopscope/loopscope.h>
#include <stdio.h>

#define MS 1000000ull

struct greeting {
	uint64_t delay;
	const char *text;
};

static int say_after(void *arg)
{
	const struct greeting *g = arg;
	int r = lsc_sleep(g->delay);

	if (r == 0)
		puts(g->text);
	return r;
}

static int app(void *arg)
{
	struct greeting one = {200 * MS, "hello, after 200 ms"};
	struct greeting two = {300 * MS, "world, after 300 ms"};
	uint64_t begin = lsc_time();

	(void)arg;
	/* A coroutine that is called is simply a function: one after the other, 500 ms. */
	say_after(&one);
	say_after(&two);
	/* Two tasks run side by side: 300 ms. */
	struct lsc_future *a = lsc_spawn(say_after, &one, "hello");
	struct lsc_future *b = lsc_spawn(say_after, &two, "world");
	if (!a || !b)
		return -ENOMEM;
	lsc_await(a);
	lsc_await(b);
	lsc_unref(a);
	lsc_unref(b);
	printf("%.1f s in all\n", (double)(lsc_time() - begin) / 1e9);
	return 0;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
