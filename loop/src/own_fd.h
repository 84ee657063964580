/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the library's own stay clear of 0, 1 and 2: in a program that was started without
 * some of these, what it prints would go into our ring, and what it puts in their place would close
 * our epoll.
 */
#ifndef LSC_LOOP_OWN_FD_H
#define LSC_LOOP_OWN_FD_H

/* Takes a descriptor, or -1 with errno. The same file under a higher number, close-on-exec, or
 * -errno. */
int own_fd(int fd);
/* The same for a copy of a descriptor, which is borrowed. -EBADF where it is none. */
int own_fd_copy(int fd);

#endif
