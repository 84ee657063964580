/* SPDX-License-Identifier: MIT */
/*
 * Who holds the lock that a thread waits for, told by the memory at its futex. Pure: what is read
 * and when is inquiry.c's matter.
 */
#ifndef LSC_FUTEX_H
#define LSC_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#define FUTEX_WORDS                                                                                \
	6 /* of the memory at the futex: glibc's struct __pthread_mutex_s up to __kind */

struct futex_owner {
	int ns_tid;	 /* as the target numbers its threads */
	uint32_t offset; /* where that number lies, in bytes behind the futex */
	uint32_t mask;	 /* its bits there */
	bool shared;	 /* the lock may be between processes, and the thread another's */
};

/* The thread that the lock names. op and value are the call's second and third arguments, words the
 * memory at its first. False: no lock, or none that names its owner; condition variables,
 * semaphores, rwlocks and the locks of other runtimes do not. The caller sees to it that such a
 * thread lives. */
bool futex_find_owner(uint64_t op, uint64_t value, const uint32_t words[FUTEX_WORDS],
		      struct futex_owner *ret_owner);

#endif
