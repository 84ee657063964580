/* SPDX-License-Identifier: MIT */
#include "inspect/roots.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "inspect/message.h"

static struct {
	int pid, fd; /* 0: free */
} roots[MESSAGE_SLOTS];
static unsigned int next; /* to be given up; a broker has one thread */

int roots_find(int pid)
{
	for (int i = 0; i < MESSAGE_SLOTS; i++)
		if (roots[i].pid == pid)
			return roots[i].fd;
	return -1;
}

int roots_open(int pid, int dir)
{
	int place = -1, fd = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (int i = 0; i < MESSAGE_SLOTS; i++)
		if (roots[i].pid == pid)
			place = i;
	if (place < 0)
		place = (int)(next++ % MESSAGE_SLOTS);
	if (roots[place].pid)
		lsc_closep(&roots[place].fd);
	roots[place].pid = pid;
	roots[place].fd = fd;
	return fd;
}
