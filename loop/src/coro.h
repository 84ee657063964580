/* SPDX-License-Identifier: MIT */
/* A coroutine: a function on a stack of its own that can be left and entered again. Knows no tasks.
 */
#ifndef LSC_LOOP_CORO_H
#define LSC_LOOP_CORO_H

#include <stddef.h>

struct coro {
	void *sp;	  /* its own, while it does not run */
	void *resumer_sp; /* of who resumed it, while it runs */
	void *stack;	  /* base; owned by who made the coroutine */
	size_t stack_size;
	void (*fn)(void *arg); /* ends by coro_exit(), never by returning */
	void *arg;
#if defined(__SANITIZE_ADDRESS__)
	void *fake;
	void *resumer_fake;
	const void *resumer_stack;
	size_t resumer_stack_size;
#elif defined(__SANITIZE_THREAD__)
	void *fiber;
	void *resumer_fiber;
#endif
};

/* Prepares fn(arg) on the stack; nothing runs yet. */
void coro_init(struct coro *c, void *stack, size_t stack_size, void (*fn)(void *arg), void *arg);

/* Runs it until it suspends or exits. Not from inside itself. */
void coro_resume(struct coro *c);

/* From inside: back to who resumed it; returns at the next coro_resume(). */
void coro_suspend(struct coro *c);

/* From inside: back for the last time. coro_done() may follow, outside. */
void coro_exit(struct coro *c) __attribute__((noreturn));

/* Releases what coro_init() took, once it has exited or when it never ran; the stack is the
 * caller's. */
void coro_done(struct coro *c);

#endif
