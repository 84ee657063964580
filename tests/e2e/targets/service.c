/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "loopscope/loopscope.h"

int service_obey(int (*obey)(const char *line))
{
	char line[64];

	puts("running");
	fflush(stdout);
	for (;;) {
		int r = lsc_wait_fd(STDIN_FILENO, POLLIN);
		ssize_t n = r < 0 ? 0 : read(STDIN_FILENO, line, sizeof(line) - 1);

		if (n <= 0)
			return 0;
		line[n] = '\0';
		r = obey(line);
		if (r < 0)
			return r;
	}
}
