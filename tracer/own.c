/* SPDX-License-Identifier: MIT */
/*
 * Told by the file that a process runs, not by the name that it gives itself. Nothing is opened and
 * nothing is asked of a target's file system: AT_STATX_DONT_SYNC takes what the kernel knows.
 */
#include "own.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool look(const char *path, struct statx *ret)
{
	return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, ret) == 0;
}

static bool is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
	       a->stx_dev_minor == b->stx_dev_minor;
}

bool own_process(int pid)
{
	struct statx theirs, ours;
	char path[4096];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (!look(path, &theirs))
		return false;
	if (look("/proc/self/exe", &ours) && is_same(&theirs, &ours))
		return true;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("loopscope"));
	if (n <= 0)
		return false;
	path[n] = '\0';
	char *base = strrchr(path, '/');
	if (!base)
		return false;
	strcpy(base + 1, "loopscope");
	return look(path, &ours) && is_same(&theirs, &ours);
}

bool own_kin(int pid)
{
	static const char deleted[] = " (deleted)"; /* what was replaced while it runs */
	char link[32], path[4096];

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	size_t tail = sizeof(deleted) - 1;
	if ((size_t)n > tail && !strcmp(path + n - tail, deleted))
		path[(size_t)n - tail] = '\0';
	const char *base = strrchr(path, '/');
	return base && (!strcmp(base, "/loopscope") || !strcmp(base, "/loopscoped"));
}
