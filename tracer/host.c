/* SPDX-License-Identifier: MIT */
/* Steal time, from /proc/stat. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

int host_steal_parse(const char *text, uint64_t *ret_ns)
{
	unsigned long long steps;

	/* cpu  user nice system idle iowait irq softirq steal ... */
	if (sscanf(text, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steps) != 1 ||
	    steps > UINT64_MAX / HOST_STEP_NS)
		return -EPROTO;
	*ret_ns = steps * HOST_STEP_NS;
	return 0;
}

int host_look(struct host_look *ret)
{
	char text[256];
	uint64_t steal;

	lsc_autoclose int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	int r = host_steal_parse(text, &steal);
	if (r == 0)
		*ret = (struct host_look){lsc_now_ns(), steal};
	return r;
}

uint64_t host_steal_part(uint64_t missing, uint64_t before_ns, uint64_t after_ns)
{
	if (after_ns <= before_ns)
		return 0;
	uint64_t most = after_ns - before_ns + HOST_STEP_NS; /* the last step may not be full */
	return missing < most ? missing : most;
}
