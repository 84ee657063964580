/* SPDX-License-Identifier: MIT */
/* Parses /proc/PID/maps in pieces: the whole file may be megabytes. */
#include "inspect/maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX (16u << 20)
/* A path of PATH_MAX bytes, each escaped as four, behind about 80 bytes of numbers. */
#define LINE_MAX_BYTES (4 * MAPS_PATH_MAX + 128)

/* The kernel writes a newline in a path as \012 and leaves all else as it is. */
static int unescape(const char *from, char *to, size_t size)
{
	size_t n = 0;

	while (*from) {
		if (n + 1 >= size)
			return -EINVAL;
		bool newline = strncmp(from, "\\012", 4) == 0;
		to[n++] = newline ? '\n' : *from;
		from += newline ? 4 : 1;
	}
	to[n] = '\0';
	return 0;
}

int maps_parse(const char *line, struct maps_entry *ret)
{
	struct maps_entry e = {0};
	char perms[5];
	int at = 0;

	if (sscanf(line,
		   "%16" SCNx64 "-%16" SCNx64 " %4[-rwxsp] %16" SCNx64 " %8" SCNx32 ":%8" SCNx32
		   " %20" SCNu64 "%n",
		   &e.start, &e.end, perms, &e.offset, &e.major, &e.minor, &e.inode, &at) != 7 ||
	    strlen(perms) != 4 || e.start >= e.end)
		return -EINVAL;
	line += at;
	line += strspn(line, " ");
	int r = unescape(line, e.path, sizeof(e.path));
	if (r < 0)
		return r;
	static const char deleted[] = " (deleted)";
	size_t n = strlen(e.path), d = sizeof(deleted) - 1;
	if (n > d && strcmp(e.path + n - d, deleted) == 0)
		e.path[n - d] = '\0';
	e.exec = perms[2] == 'x';
	*ret = e;
	return 0;
}

/* Hands each whole line in buf to fn; *len becomes what is left over, moved to the front. */
static int take_lines(char *buf, size_t *len, struct maps_entry *entry, maps_fn *fn, void *arg)
{
	char *at = buf, *nl;

	while ((nl = memchr(at, '\n', *len - (size_t)(at - buf)))) {
		*nl = '\0';
		int r = maps_parse(at, entry);
		if (r == 0)
			r = fn(entry, arg);
		if (r)
			return r;
		at = nl + 1;
	}
	*len -= (size_t)(at - buf);
	memmove(buf, at, *len);
	return 0;
}

int maps_each(int fd, maps_fn *fn, void *arg)
{
	lsc_autofree char *buf = malloc(LINE_MAX_BYTES);
	lsc_autofree struct maps_entry *entry = malloc(sizeof(*entry));
	size_t len = 0, total = 0;

	if (!buf || !entry)
		return -ENOMEM;
	for (;;) {
		if (len == LINE_MAX_BYTES)
			return -EINVAL;
		ssize_t n = read(fd, buf + len, LINE_MAX_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return len ? -EINVAL : 0;
		len += (size_t)n;
		total += (size_t)n;
		if (total > FILE_MAX)
			return -EFBIG;
		int r = take_lines(buf, &len, entry, fn, arg);
		if (r)
			return r;
	}
}
