/* SPDX-License-Identifier: MIT */
/* The seam between the loop and the kernel's way of waiting. POLL* and EPOLL* have the same values.
 */
#ifndef LSC_LOOP_BACKEND_H
#define LSC_LOOP_BACKEND_H

#include <stdint.h>

struct lsc_loop;

struct backend_ops {
	const char *name;
	/* Makes loop->backend_data. 0 or -errno. */
	int (*open)(struct lsc_loop *loop);
	/* Releases it; nothing when it was never made. */
	void (*close)(struct lsc_loop *loop);
	/* Arms fd for one report of any of the events, in place of what it was armed for; 0
	 * disarms. */
	int (*watch)(struct lsc_loop *loop, int fd, uint32_t events);
	/* The primary wait, and nothing else: up to timeout_ns, UINT64_MAX for ever. The number of
	 * events, 0 also when a signal came, or -errno. */
	int (*wait)(struct lsc_loop *loop, uint64_t timeout_ns);
	/* Hands the events of the last wait to loop_fd_ready(). */
	void (*dispatch)(struct lsc_loop *loop, int events);
};

extern const struct backend_ops backend_epoll;

#endif
