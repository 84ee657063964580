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
	/* Has each edge of the events of fd reported with token, in place of what it was watched
	 * for; those that hold now count as edges. Errors, hang-ups, the peer's end and urgent data
	 * are always reported. token has fd in its lower half. 0, or -errno, which may also
	 * come later, as POLLNVAL. */
	int (*watch)(struct lsc_loop *loop, int fd, uint32_t events, uint64_t token);
	/* Ends that, ahead of a close. */
	void (*unwatch)(struct lsc_loop *loop, int fd, uint64_t token);
	/* The primary wait, and nothing else: up to timeout_ns, UINT64_MAX for ever. The number of
	 * events, 0 also when a signal came, or -errno. */
	int (*wait)(struct lsc_loop *loop, uint64_t timeout_ns);
	/* Hands the events of the last wait to loop_fd_ready(). */
	void (*dispatch)(struct lsc_loop *loop, int events);
};

/* The one that LSC_BACKEND names, or epoll. Opens it for the loop; where it is not to be had, says
 * so on stderr once a process and takes epoll. 0 or -errno. */
int backend_open(struct lsc_loop *loop);

extern const struct backend_ops backend_epoll;
#ifdef LSC_HAVE_URING
extern const struct backend_ops backend_uring;
#endif

#endif
