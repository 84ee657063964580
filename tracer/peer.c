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
#define LINKS_MAX     4096 /* in all, of some 1.5 us each */

struct search {
	int pid, mode;
	char name[256]; /* as the link says it: "pipe:[4711]" */
	unsigned links; /* looked at */
};

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

static bool holds_other_end(struct search *s, int pid)
{
	char path[64], link[sizeof(s->name)];
	bool found = false;
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	while (d && !found && s->links < LINKS_MAX && (e = readdir(d))) {
		s->links++;
		if (!read_link(pid, e->d_name, link, sizeof(link)) || strcmp(link, s->name) != 0)
			continue;
		int other = access_mode(pid, e->d_name);
		found = other == O_RDWR || (other >= 0 && (s->mode == O_RDWR || other != s->mode));
	}
	if (d)
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
static int count_holders(struct search *s, const struct generation *g, int *ret_pid)
{
	int n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (g->pid[i] == s->pid || !holds_other_end(s, g->pid[i]))
			continue;
		*ret_pid = g->pid[i];
		n++;
	}
	return n;
}

int peer_of_pipe(int pid, int fd, char ret_comm[16])
{
	struct search s = {.pid = pid};
	struct generation g = {.n = 0}, next = {.n = 0};
	char number[16];
	int found = 0;

	snprintf(number, sizeof(number), "%d", fd);
	s.mode = fd < 0 ? -1 : access_mode(pid, number);
	if (s.mode < 0 || !read_link(pid, number, s.name, sizeof(s.name)))
		return 0;
	target_each_child(pid, add, &g);
	int n = count_holders(&s, &g, &found);
	if (!n) {
		for (size_t i = 0; i < g.n; i++)
			target_each_child(g.pid[i], add, &next);
		n = count_holders(&s, &next, &found);
	}
	int parent = n ? 0 : target_parent(pid);
	if (parent > 0) {
		g = (struct generation){.pid = {parent}, .n = 1};
		target_each_child(parent, add, &g);
		n = count_holders(&s, &g, &found);
	}
	if (n != 1 || s.links == LINKS_MAX)
		return 0; /* not all were looked at: there may be others */
	return target_thread_names(found, found, ret_comm, NULL) == 0 ? found : 0;
}
