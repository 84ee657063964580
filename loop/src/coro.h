/* SPDX-License-Identifier: MIT */
/* A coroutine: a context of its own that can be left for another one and entered again. Symmetric:
 * the stack of the thread itself is one of them. Knows no tasks. */
#ifndef LSC_LOOP_CORO_H
#define LSC_LOOP_CORO_H

#include <stddef.h>

struct coro {
	void *sp;	   /* while it does not run */
	const void *stack; /* lowest address; the thread's own is learned when it is left */
	size_t stack_size;
	void (*fn)(void *arg); /* never returns */
	void *arg;
#if defined(__SANITIZE_ADDRESS__)
	void *fake;
	struct coro *came_from; /* who switched here last */
#elif defined(__SANITIZE_THREAD__)
	void *fiber;
#endif
	unsigned valgrind_id; /* of its stack */
};

void coro_swap(void **ret_from_sp, void *to_sp);

/* Makes the running context the coroutine c. */
void coro_init_thread(struct coro *c);

/* Prepares fn(arg) on the stack, which ends at its top (16-byte aligned); nothing runs yet. */
void coro_init(struct coro *c, void *stack, size_t stack_size, void *top, void (*fn)(void *arg),
	       void *arg);

/* Releases what coro_init() took: it never ran, or was left for good. The stack is the caller's. */
void coro_done(struct coro *c);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Leaves from, which runs, for to; returns when somebody switches to from. */
void coro_switch(struct coro *from, struct coro *to);
#else
static inline void coro_switch(struct coro *from, struct coro *to)
{
	coro_swap(&from->sp, to->sp);
}
#endif

#endif
