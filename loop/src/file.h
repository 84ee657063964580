/* SPDX-License-Identifier: MIT */
/* Operations that take long and that nothing can be polled for. */
#ifndef LSC_LOOP_FILE_H
#define LSC_LOOP_FILE_H

#include "fd.h"

/* Suspends the running task until op is done: by the backend where it is a proactor, else in a
 * worker thread. entry is that of op->fd; NULL where it has none. The result or -errno. */
int file_do(struct lsc_loop *loop, struct fd_entry *entry, struct backend_op *op);

#endif
