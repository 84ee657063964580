/* SPDX-License-Identifier: MIT */
/* The lines of /proc/PID/maps, read as hostile text: paths are the target's to choose. */
#ifndef LSC_INSPECT_MAPS_H
#define LSC_INSPECT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPS_PATH_MAX 4096

struct maps_entry {
	uint64_t start, end, offset, inode;
	uint32_t major, minor;
	bool exec;
	char path[MAPS_PATH_MAX]; /* unescaped, without " (deleted)"; empty: anonymous memory */
};

/* Parses one line without its newline. 0; -EINVAL when it is no such line or too long. */
int maps_parse(const char *line, struct maps_entry *ret);

typedef int maps_fn(const struct maps_entry *entry, void *arg);

/* Calls fn for each entry of the maps file open at fd, until fn gives non-zero, which is returned.
 * 0 at the end, or -errno: -EFBIG for a file above 16 MiB, -EINVAL for a line that is none. */
int maps_each(int fd, maps_fn *fn, void *arg);

#endif
