/* SPDX-License-Identifier: MIT */
/* The end of a task that has used up its stack: a message that names it, then the signal's own
 * way. */
#ifndef LSC_LOOP_OVERFLOW_H
#define LSC_LOOP_OVERFLOW_H

struct lsc_loop;
struct task;

/*
 * A loop begins, or ends, on this thread. The first one in the process puts a handler of SIGSEGV in
 * place, if the host has none, and the last one takes it away, if it is still in place. The handler
 * runs on an alternate stack, which each thread gets unless it has one.
 */
void overflow_open(struct lsc_loop *loop);
void overflow_close(struct lsc_loop *loop);

/* In a forked child: the threads that may have held locks are not there. */
void overflow_forked(void);

/* The canary of the task's stack is dead: tells, and aborts: memory beyond is damaged already. */
void overflow_found(const struct task *task) __attribute__((noreturn));

#endif
