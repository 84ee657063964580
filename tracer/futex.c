/* SPDX-License-Identifier: MIT */
/*
 * glibc's mutexes (x86-64, unchanged since 2.3): __lock, __count, __owner, __nusers, __kind. A
 * plain one is waited for with the value 2, a robust or priority-inheriting one holds its owner's
 * number in the futex itself. All fields must fit: what else a futex may be (a word of a condition
 * variable, of a semaphore, of another runtime's lock) has other values or other neighbours.
 */
#include "futex.h"

#include <linux/futex.h>
#include <stddef.h>

enum { LOCK, COUNT, OWNER, USERS, KIND };

#define TYPE_MASK      3 /* normal, recursive, error-checking, adaptive */
#define TYPE_RECURSIVE 1
#define KIND_ROBUST    0x10
#define KIND_SHARED    0x80
#define KIND_ELISION   0x300 /* tried or refused: does not matter */
#define USERS_MAX      0x400000u
#define WAITED_FOR     2u
#define TID_MAX	       0x400000u /* PID_MAX_LIMIT */

static bool found(uint32_t tid, size_t word, uint32_t mask, uint64_t op,
		  struct futex_owner *ret_owner)
{
	if (!tid || tid > TID_MAX)
		return false;
	*ret_owner = (struct futex_owner){.ns_tid = (int)tid,
					  .offset = (uint32_t)(word * sizeof(uint32_t)),
					  .mask = mask,
					  .shared = !(op & FUTEX_PRIVATE_FLAG)};
	return true;
}

/* __count is the depth of a recursive mutex, 1 of a robust one, and nobody's else. */
static bool fits(const uint32_t *w, uint32_t more)
{
	if (w[KIND] & ~(uint32_t)(TYPE_MASK | KIND_SHARED | KIND_ELISION | more))
		return false;
	if (w[USERS] < 1 || w[USERS] > USERS_MAX)
		return false;
	bool counts = more || (w[KIND] & TYPE_MASK) == TYPE_RECURSIVE;
	return counts ? w[COUNT] >= 1 : w[COUNT] == 0;
}

bool futex_find_owner(uint64_t op, uint64_t value, const uint32_t words[FUTEX_WORDS],
		      struct futex_owner *ret_owner)
{
	uint32_t tid = words[LOCK] & FUTEX_TID_MASK;

	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI: /* what the word means is the kernel's law */
	case FUTEX_LOCK_PI2:
		if (words[LOCK] & FUTEX_OWNER_DIED)
			return false;
		return found(tid, LOCK, FUTEX_TID_MASK, op, ret_owner);
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		break;
	default:
		return false;
	}
	if (words[LOCK] != (uint32_t)value)
		return false; /* about to be woken */
	if (words[LOCK] == WAITED_FOR && fits(words, 0))
		return found(words[OWNER], OWNER, UINT32_MAX, op, ret_owner);
	if ((words[LOCK] & ~(uint32_t)FUTEX_TID_MASK) == FUTEX_WAITERS &&
	    words[KIND] & KIND_ROBUST && words[OWNER] == tid && fits(words, KIND_ROBUST))
		return found(tid, LOCK, FUTEX_TID_MASK, op, ret_owner);
	return false;
}
