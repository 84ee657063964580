/* SPDX-License-Identifier: MIT */
/* Limits of memory: RLIMIT_AS and memory cgroups, of version 1 and 2. */
#include "headroom.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SPACE_FACTOR  16
#define CGROUP_FACTOR 4

static bool address_space_allows(size_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) < 0)
		return false;
	if (limit.rlim_cur == RLIM_INFINITY)
		return true;
	void *map = mmap(NULL, SPACE_FACTOR * size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return false;
	munmap(map, SPACE_FACTOR * size);
	return true;
}

/* What a version of cgroups calls its files. */
struct names {
	const char *mount, *limit, *usage;
	const char *reclaimable; /* a key of memory.stat: pages of files that go first */
};

static const struct names version1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
				      "memory.usage_in_bytes", "\ntotal_inactive_file "};
static const struct names version2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
				      "\ninactive_file "};

/* The beginning of a file, as text. False: there is none. */
static bool read_text(char *buf, size_t size, const char *mount, const char *group,
		      const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s/%s", mount, group, name) >= (int)sizeof(path))
		return false;
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

static uint64_t reclaimable(const struct names *names, const char *group)
{
	char text[8192];
	const char *at = read_text(text, sizeof(text), names->mount, group, "memory.stat")
				 ? strstr(text, names->reclaimable)
				 : NULL;

	return at ? strtoull(at + strlen(names->reclaimable), NULL, 10) : 0;
}

/* One group. One without a limit ("max", or version 1's huge number) allows all. */
static bool group_allows(const struct names *names, const char *group, uint64_t size)
{
	char text[64];

	if (!read_text(text, sizeof(text), names->mount, group, names->limit) || *text < '0' ||
	    *text > '9')
		return true;
	uint64_t limit = strtoull(text, NULL, 10);
	if (!read_text(text, sizeof(text), names->mount, group, names->usage))
		return true;
	uint64_t used = strtoull(text, NULL, 10), need = CGROUP_FACTOR * size;
	if (used <= limit && limit - used >= need)
		return true;
	uint64_t files = reclaimable(names, group);
	used = files < used ? used - files : 0;
	return used <= limit && limit - used >= need;
}

/* The group and those around it. In a container the path may be the host's, and does not exist
 * here: then the mount itself is the container's. */
static bool groups_allow(const struct names *names, char *group, uint64_t size)
{
	for (;;) {
		char *slash = strrchr(group, '/');

		if (!group_allows(names, group, size))
			return false;
		if (!slash)
			return true;
		*slash = '\0';
	}
}

/* The lines of /proc/self/cgroup: "4:memory:/path" of version 1, "0::/path" of version 2. */
static bool cgroups_allow(size_t size)
{
	char text[8192], *rest = text, *line;

	if (!read_text(text, sizeof(text), "/proc/self", "", "cgroup"))
		return true;
	while ((line = strsep(&rest, "\n"))) {
		char *number = strsep(&line, ":"), *controllers = line ? strsep(&line, ":") : NULL;

		if (!line)
			continue;
		bool is_v2 = strcmp(number, "0") == 0 && !*controllers;
		if ((is_v2 || strcmp(controllers, "memory") == 0) &&
		    !groups_allow(is_v2 ? &version2 : &version1, line, size))
			return false;
	}
	return true;
}

bool headroom_for(size_t size)
{
	return address_space_allows(size) && cgroups_allow(size);
}
