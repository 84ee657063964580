/* SPDX-License-Identifier: MIT */
/* The constants among the arguments of system calls, by their names. */
#ifndef LSC_CONSTANT_H
#define LSC_CONSTANT_H

#include <stddef.h>
#include <stdint.h>

#define CONSTANT_TEXT 160 /* enough for most; longer ones are cut */

/* What an argument may say. The letters stand in the table of syscall.c. */
enum constant_kind {
	CONSTANT_ADVICE = 'A',	   /* madvise */
	CONSTANT_COMMAND = 'C',	   /* fcntl */
	CONSTANT_DOMAIN = 'D',	   /* socket */
	CONSTANT_EPOLL = 'E',	   /* epoll_ctl */
	CONSTANT_FUTEX = 'F',	   /* futex */
	CONSTANT_CLOSING = 'H',	   /* shutdown */
	CONSTANT_ID = 'I',	   /* waitid */
	CONSTANT_LOCK = 'L',	   /* flock */
	CONSTANT_MESSAGE = 'M',	   /* send, recv */
	CONSTANT_MAPPING = 'N',	   /* mmap */
	CONSTANT_OPENING = 'O',	   /* open, openat */
	CONSTANT_PROTECTION = 'P', /* mmap, mprotect */
	CONSTANT_REQUEST = 'R',	   /* ioctl */
	CONSTANT_SYNC = 'S',	   /* msync */
	CONSTANT_TYPE = 'T',	   /* socket */
	CONSTANT_URING = 'U',	   /* io_uring_enter */
	CONSTANT_WAITING = 'W',	   /* wait4, waitid */
};

/* The name of v as strace writes it: "F_SETLKW", "MSG_PEEK|MSG_WAITALL", "FUTEX_WAIT_PRIVATE". What
 * has no name stands in hexadecimal: "0x40", "MSG_PEEK|0x80000"; without flags it is "0". All are
 * of 32 bits: what v has above is no part of them. An unknown kind has no names. Returns buf. */
const char *constant_text(enum constant_kind kind, uint64_t v, char *buf, size_t size);

#endif
