/* SPDX-License-Identifier: MIT */
/* Step 3: three downloads at once, their results in order. */
#include <errno.h>
#include <loopscope/loopscope.h>
#include <stdio.h>

struct download {
	const char *name;
	unsigned seconds;
};

static int fetch(void *arg)
{
	const struct download *d = arg;
	int r = lsc_sleep(d->seconds * 1000000000ull); /* the network */

	if (r < 0)
		return r;
	printf("%s is here, after %u s\n", d->name, d->seconds);
	return (int)d->seconds * 100; /* bytes, say */
}

static int app(void *arg)
{
	struct download downloads[] = {{"A", 3}, {"B", 1}, {"C", 2}};
	struct lsc_future *tasks[3];
	int bytes[3] = {0};
	uint64_t begin = lsc_time();

	(void)arg;
	for (int i = 0; i < 3; i++)
		tasks[i] = lsc_spawn(fetch, &downloads[i], downloads[i].name);
	struct lsc_future *all = tasks[0] && tasks[1] && tasks[2] ? lsc_gather(tasks, 3, 0) : NULL;
	int r = all ? lsc_await(all) : -ENOMEM;
	if (r == 0)
		r = lsc_gather_results(all, bytes, 3);
	for (int i = 0; i < 3; i++)
		printf("%s: %d bytes\n", downloads[i].name, bytes[i]);
	printf("%.0f s in all\n", (double)(lsc_time() - begin) / 1e9);
	lsc_unref(all);
	for (int i = 0; i < 3; i++)
		lsc_unref(tasks[i]);
	return r;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
