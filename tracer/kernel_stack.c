/* SPDX-License-Identifier: MIT */
/* Lines like "[<0>] fuse_dev_do_read+0x1c0/0x2d0 [fuse]". */
#include "kernel_stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* One line, which is cut up. False: it is no frame. */
static int parse_line(char *line, struct store_frame *ret_frame)
{
	char *name = strchr(line, ']');
	char *end;

	if (line[0] != '[' || !name || name[1] != ' ')
		return 0;
	name += 2;
	*ret_frame = (struct store_frame){.lang = STORE_LANG_KERNEL};
	char *module = strstr(name, " [");
	if (module && (end = strchr(module + 2, ']'))) {
		*module = *end = '\0';
		ret_frame->module = module + 2;
	}
	char *plus = strchr(name, '+');
	if (!plus) /* code that the kernel has no name for: a bare address, which is nobody's
		      business */
		return name[0] != '\0';
	*plus = '\0';
	ret_frame->function = name;
	ret_frame->offset = strtoull(plus + 1, NULL, 16);
	return plus != name;
}

int kernel_stack_parse(struct kernel_stack *k)
{
	char *rest = k->text, *line;

	k->nframes = 0;
	while (k->nframes < KERNEL_FRAMES_MAX && (line = strsep(&rest, "\n")))
		k->nframes += (size_t)parse_line(line, &k->frames[k->nframes]);
	return k->nframes ? 0 : -ENODATA;
}

int kernel_stack_read(int pid, int tid, struct kernel_stack *k)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", pid, tid);
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, k->text, sizeof(k->text) - 1); /* one seq_file record: all at once */
	if (n < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	k->text[n] = '\0';
	return kernel_stack_parse(k);
}
