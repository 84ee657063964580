/* SPDX-License-Identifier: MIT */
/* Where in the kernel a thread sleeps. */
#ifndef LSC_KERNEL_STACK_H
#define LSC_KERNEL_STACK_H

#include <stddef.h>

#include "store.h"

#define KERNEL_FRAMES_MAX 64

struct kernel_stack {
	struct store_frame frames[KERNEL_FRAMES_MAX]; /* leaf first; names point into text */
	size_t nframes;
	char text[8192];
};

/* Reads /proc/PID/task/TID/stack: the kernel names its functions itself, no addresses come out.
 * 0; -EACCES or -EPERM without CAP_SYS_ADMIN; -ENOENT when the thread or the file is not there;
 * -ENODATA when the thread runs. */
int kernel_stack_read(int pid, int tid, struct kernel_stack *ret);
/* The same from ret->text, which is cut up. */
int kernel_stack_parse(struct kernel_stack *ret);

#endif
