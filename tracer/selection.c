/* SPDX-License-Identifier: MIT */
/*
 * Looks through /proc and cgroup.procs. A name may change by exec or prctl: processes are looked at
 * again while they are young, and all of them now and then.
 */
#include "selection.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <uthash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "target.h"

#define COMM_MAX    15 /* TASK_COMM_LEN without the NUL */
#define YOUNG_NS    (3 * LSC_NS_PER_S)
#define FULL_NS	    (10 * LSC_NS_PER_S)
#define DEPTH_MAX   32
#define PATH_LENGTH 1024

struct known { /* a process whose name was looked at */
	int pid;
	uint64_t first_ns;
	uint64_t scan;
	UT_hash_handle hh;
};

struct selection {
	char (*names)[COMM_MAX + 1]; /* owns */
	size_t nnames;
	char cgroup[PATH_LENGTH]; /* a directory; empty: none */
	char text[160];
	struct known *known; /* owns */
	uint64_t scans, full_ns;
};

/* ---- control groups ---- */

/* The directory, when it is one of a cgroup file system; else -errno. */
static int open_cgroup(const char *path)
{
	lsc_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC)
		return -ENOENT;
	int taken = fd;
	fd = -1;
	return taken;
}

/* Takes fd. A group that goes away meanwhile has no processes. */
static void walk_cgroup(int fd, int depth, selection_found_fn *fn, void *arg)
{
	int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = procs < 0 ? NULL : fdopen(procs, "r");
	DIR *d = fdopendir(fd);
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid > 0 && pid != getpid()) /* 0: of another pid namespace */
			fn(pid, arg);
	if (f)
		fclose(f);
	else if (procs >= 0)
		close(procs);
	for (struct dirent *e; d && depth < DEPTH_MAX && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		int below = openat(dirfd(d), e->d_name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			walk_cgroup(below, depth + 1, fn, arg);
	}
	if (d)
		closedir(d);
	else
		close(fd);
}

static void count_found(int pid, void *arg)
{
	(void)pid;
	(*(size_t *)arg)++;
}

/* Tries a directory: keeps it when it is a group, and says whether it settles the question. */
static bool try_cgroup(struct selection *s, const char *path)
{
	size_t n = 0;
	int fd = open_cgroup(path);

	if (fd < 0)
		return false;
	walk_cgroup(fd, 0, count_found, &n);
	if (n || !s->cgroup[0])
		snprintf(s->cgroup, sizeof(s->cgroup), "%s", path);
	return n > 0;
}

/* A path as in /proc/PID/cgroup: in the first hierarchy of this type where it has processes. */
static bool find_cgroup(struct selection *s, const char *type, const char *name)
{
	char line[4096], mount[PATH_LENGTH], path[2 * PATH_LENGTH];
	lsc_autofclose FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, type) || sscanf(line, "%*d %*d %*s %*s %1023s", mount) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s", mount, name);
		if (strlen(path) < PATH_LENGTH && try_cgroup(s, path))
			return true;
	}
	return false;
}

static bool has_dots(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
			return true;
	}
	return false;
}

static int take_cgroup(struct selection *s, const char *cgroup, struct lsc_err *err)
{
	if (!cgroup[0] || strlen(cgroup) >= PATH_LENGTH || has_dots(cgroup))
		return lsc_err_set(err, -EINVAL, "'%.100s' is not a path of a control group",
				   cgroup);
	if (cgroup[0] == '/')
		try_cgroup(s, cgroup);
	if (!s->cgroup[0] && !find_cgroup(s, " - cgroup2 ", cgroup))
		find_cgroup(s, " - cgroup ", cgroup);
	if (!s->cgroup[0])
		return lsc_err_set(err, -ENOENT, "no control group '%.100s'", cgroup);
	return 0;
}

/* ---- names ---- */

static int take_names(struct selection *s, const char *const *names, size_t n, struct lsc_err *err)
{
	s->names = calloc(n, sizeof(*s->names));
	if (!s->names)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	s->nnames = n;
	for (size_t i = 0; i < n; i++) {
		if (!names[i][0] || strchr(names[i], '\n'))
			return lsc_err_set(err, -EINVAL, "'%.100s' is not a process's name",
					   names[i]);
		snprintf(s->names[i], sizeof(s->names[i]), "%.15s", names[i]);
	}
	return 0;
}

static bool is_named(const struct selection *s, int pid)
{
	char comm[16];

	if (target_thread_names(pid, pid, comm, NULL) < 0)
		return false;
	for (size_t i = 0; i < s->nnames; i++)
		if (!strcmp(s->names[i], comm))
			return true;
	return false;
}

/* Whether the process's name is worth a look now. */
static bool is_due(struct selection *s, int pid, uint64_t now, bool full)
{
	struct known *k;

	HASH_FIND_INT(s->known, &pid, k);
	if (!k && (k = calloc(1, sizeof(*k)))) {
		k->pid = pid;
		k->first_ns = now;
		HASH_ADD_INT(s->known, pid, k);
		if (!k->hh.tbl) {
			free(k);
			k = NULL;
		}
	}
	if (!k)
		return true;
	k->scan = s->scans;
	return full || now < k->first_ns + YOUNG_NS;
}

static void scan_names(struct selection *s, uint64_t now, selection_found_fn *fn, void *arg)
{
	DIR *d = opendir("/proc");
	bool full = now >= s->full_ns;
	struct known *k, *next;

	if (!d)
		return;
	if (full)
		s->full_ns = now + FULL_NS;
	s->scans++;
	for (struct dirent *e; (e = readdir(d));) {
		int pid = atoi(e->d_name);
		if (pid > 0 && pid != getpid() && is_due(s, pid, now, full) && is_named(s, pid))
			fn(pid, arg);
	}
	closedir(d);
	HASH_ITER(hh, s->known, k, next)
	{
		if (k->scan == s->scans)
			continue;
		HASH_DEL(s->known, k);
		free(k);
	}
}

/* ---- both ---- */

int selection_new(const char *const *names, size_t nnames, const char *cgroup,
		  struct selection **ret_selection, struct lsc_err *err)
{
	int r = 0;

	*ret_selection = NULL;
	if (!nnames && !cgroup)
		return 0;
	struct selection *s = calloc(1, sizeof(*s));
	if (!s)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	if (nnames)
		r = take_names(s, names, nnames, err);
	if (r == 0 && cgroup)
		r = take_cgroup(s, cgroup, err);
	if (r < 0) {
		selection_free(s);
		return r;
	}
	if (nnames)
		snprintf(s->text, sizeof(s->text), "named '%s'%s", s->names[0],
			 nnames > 1 ? " or the others" : "");
	else
		snprintf(s->text, sizeof(s->text), "in control group '%.100s'", cgroup);
	*ret_selection = s;
	return 0;
}

struct selection *selection_free(struct selection *s)
{
	struct known *k, *next;

	if (!s)
		return NULL;
	HASH_ITER(hh, s->known, k, next)
	{
		HASH_DEL(s->known, k);
		free(k);
	}
	free(s->names);
	free(s);
	return NULL;
}

void selection_scan(struct selection *s, uint64_t now_ns, selection_found_fn *fn, void *arg)
{
	if (s->nnames)
		scan_names(s, now_ns, fn, arg);
	if (s->cgroup[0]) {
		int fd = open_cgroup(s->cgroup);
		if (fd >= 0)
			walk_cgroup(fd, 0, fn, arg);
	}
}

const char *selection_text(const struct selection *s)
{
	return s->text;
}
