/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a pipe carry the same name under /proc/PID/fd; fdinfo tells the ends apart. Links
 * are read, never followed.
 */
#include "peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "target.h"

#define PROCESSES_MAX 128
#define FDS_MAX	      1024

struct generation {
	int pid[PROCESSES_MAX];
	size_t n;
};

static bool read_link(int pid, const char *fd, char *buf, size_t size)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, fd);
	ssize_t n = readlink(path, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* O_RDONLY, O_WRONLY or O_RDWR; -1 unknown. */
static int access_mode(int pid, const char *fd)
{
	char path[300], line[64];
	unsigned flags;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, fd);
	lsc_autofclose FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			return (int)(flags & O_ACCMODE);
	return -1;
}

static bool holds_other_end(int pid, const char *name, int mode)
{
	char path[64], link[256];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	if (!d)
		return false;
	for (int i = 0; !found && i < FDS_MAX; i++) {
		struct dirent *e = readdir(d);
		if (!e)
			break;
		if (!read_link(pid, e->d_name, link, sizeof(link)) || strcmp(link, name) != 0)
			continue;
		int other = access_mode(pid, e->d_name);
		found = other == O_RDWR || (other >= 0 && (mode == O_RDWR || other != mode));
	}
	closedir(d);
	return found;
}

static void add(int pid, void *arg)
{
	struct generation *g = arg;

	if (g->n < PROCESSES_MAX)
		g->pid[g->n++] = pid;
}

/* How many of g hold the other end; *ret_pid is the last of them. */
static int count_holders(const struct generation *g, int self, const char *name, int mode,
			 int *ret_pid)
{
	int n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (g->pid[i] == self || !holds_other_end(g->pid[i], name, mode))
			continue;
		*ret_pid = g->pid[i];
		n++;
	}
	return n;
}

int peer_of_pipe(int pid, int fd, char ret_comm[16])
{
	struct generation g = {.n = 0}, next = {.n = 0};
	char number[16], name[256];
	int found = 0;

	snprintf(number, sizeof(number), "%d", fd);
	int mode = access_mode(pid, number);
	if (fd < 0 || mode < 0 || !read_link(pid, number, name, sizeof(name)))
		return 0;
	target_each_child(pid, add, &g);
	int n = count_holders(&g, pid, name, mode, &found);
	if (!n) {
		for (size_t i = 0; i < g.n; i++)
			target_each_child(g.pid[i], add, &next);
		n = count_holders(&next, pid, name, mode, &found);
	}
	int parent = n ? 0 : target_parent(pid);
	if (parent > 0) {
		g = (struct generation){.pid = {parent}, .n = 1};
		target_each_child(parent, add, &g);
		n = count_holders(&g, pid, name, mode, &found);
	}
	return n == 1 && target_thread_names(found, found, ret_comm, NULL) == 0 ? found : 0;
}
