/* SPDX-License-Identifier: MIT */
/* A coroutine: a context of its own that can be left for another one and entered again. Symmetric:
 * the stack of the thread itself is one of them. Knows no tasks. */
#ifndef LSC_LOOP_CORO_H
#define LSC_LOOP_CORO_H

#include <stddef.h>
#include <stdint.h>

/* The stack that a coroutine runs on, as sanitizers and valgrind know it. */
struct coro_stack {
	const void *base; /* lowest address; the thread's own is learned when it is left */
	size_t size;
#if defined(__SANITIZE_ADDRESS__)
	void *fake;
	struct coro_stack *came_from; /* from which it was switched to last */
#elif defined(__SANITIZE_THREAD__)
	void *fiber;
#endif
	unsigned valgrind_id;
};

/* Where a coroutine goes on: valid while it does not run. May be copied then. */
struct coro {
	void *sp; /* NULL: it has never been left */
#if defined(__x86_64__)
	void *fp;
	void *ip;
	uint32_t mxcsr; /* where x87 is not the default one */
	uint16_t x87;	/* the control word */
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	struct coro_stack *stack; /* also while it runs */
#endif
};

/* Makes the running context a coroutine. */
void coro_init_thread(struct coro *c, struct coro_stack *stack);

/* Prepares fn(arg), which never returns, on the stack [base, base + size) below top (16-byte
 * aligned); nothing runs yet. */
void coro_init(struct coro *c, struct coro_stack *stack, void *base, size_t size, void *top,
	       void (*fn)(void *arg), void *arg);

/* Releases what coro_init() took: it never ran, or was left for good. The memory is the caller's.
 */
void coro_done(struct coro_stack *stack);

/* c takes the place of the running coroutine: it is the one that will be left. */
static inline void coro_take_over(struct coro *c, const struct coro *running)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	c->stack = running->stack;
#else
	(void)c;
	(void)running;
#endif
}

#if defined(__x86_64__)
#include "switch_x86_64.h"
#else
void coro_swap(struct coro *from, const struct coro *to);
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Leaves from, which runs, for to; returns when somebody switches to from. */
void coro_switch(struct coro *from, struct coro *to);
#else
static inline void coro_switch(struct coro *from, const struct coro *to)
{
	coro_swap(from, to);
}
#endif

#endif
