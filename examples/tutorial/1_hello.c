/* SPDX-License-Identifier: MIT */
/* Step 1: a loop, and its first task. */
#include <loopscope/loopscope.h>
#include <stdio.h>

#define MS 1000000ull /* times are nanoseconds */

static int app(void *arg)
{
	printf("%s ...\n", (const char *)arg);
	int r = lsc_sleep(100 * MS); /* suspends this task; the loop runs others meanwhile */
	if (r < 0)
		return r; /* somebody asked us to end: clean up and return */
	puts("... world");
	return 0;
}

int main(void)
{
	return lsc_run(app, "hello") < 0;
}
