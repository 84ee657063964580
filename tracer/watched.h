/* SPDX-License-Identifier: MIT */
/*
 * What a loop's epoll set watches, as /proc tells it: sockets with their ends, pipes, timers of the
 * kernel's. Timers that a runtime keeps in its own memory (libuv, node) are not among them.
 */
#ifndef LSC_WATCHED_H
#define LSC_WATCHED_H

#include <jansson.h>

#define WATCHED_MAX 1000 /* descriptors that are told */

/* An array of {"fd", "events", "kind", "local", "peer", "state", "expires_ns"}, docs/control.md
 * says what each means; NULL where the set cannot be read. *ret_omitted: those beyond WATCHED_MAX.
 */
json_t *watched_list(int pid, int epoll_fd, size_t *ret_omitted);

#endif
