/* SPDX-License-Identifier: MIT */
/*
 * What a loop's epoll set watches, as /proc tells it: sockets with their ends, pipes, timers of the
 * kernel's. Timers that a runtime keeps in its own memory are not among them: handles.c has those
 * of libuv.
 */
#ifndef LSC_WATCHED_H
#define LSC_WATCHED_H

#include <jansson.h>

struct watched;

#define WATCHED_MAX 1000 /* descriptors that are told */

/* The sockets of a process's network, as they are now. NULL out of memory. */
struct watched *watched_new(int pid);
struct watched *watched_free(struct watched *w);

/* An array of {"fd", "events", "kind", "local", "peer", "state", "expires_ns"}, docs/control.md
 * says what each means; NULL where the set cannot be read. *ret_omitted: those beyond WATCHED_MAX.
 */
json_t *watched_list(const struct watched *w, int epoll_fd, size_t *ret_omitted);

/* Adds the ends of a descriptor, if it is a socket, to an object: "local", "peer", "state". */
void watched_add_ends(const struct watched *w, int fd, json_t *object);

#endif
