/* SPDX-License-Identifier: MIT */
/*
 * libloopscope: an event loop with coroutine tasks, in the meanings of Python's asyncio, which
 * records each transition of its tasks in shared memory (loopscope/wire.h) where loopscoped can
 * read it.
 *
 *   run      lsc_run  lsc_run_with  lsc_loop_current  lsc_call_soon_threadsafe
 *   tasks    lsc_spawn  lsc_task_name  lsc_mark
 *   futures  lsc_future_new  lsc_resolve  lsc_await  lsc_gather  lsc_gather_results
 *            lsc_cancel  lsc_is_done  lsc_result  lsc_ref  lsc_unref
 *   waits    lsc_sleep  lsc_sleep_until  lsc_yield  lsc_wait_fd
 *
 * Errors: functions return 0, a count, or -errno; functions that give an object return NULL when
 * out of memory. Threads: one loop per thread; every function is for the loop's thread alone, but
 * for lsc_call_soon_threadsafe(). Times are nanoseconds of CLOCK_MONOTONIC.
 *
 * Ownership, in four words: a function *borrows* an argument (uses it during the call), *takes* it
 * (it is the function's from then on), *gives* a result (the caller must lsc_unref() it), or the
 * text says who *owns* it.
 *
 * Environment: LSC_TRACE=0 turns recording off for loops that are started afterwards.
 */
#ifndef LOOPSCOPE_LOOP_H
#define LOOPSCOPE_LOOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LSC_API __attribute__((visibility("default")))

/* A loop; it lives in the thread that runs it, from lsc_run() to its return. */
struct lsc_loop;

/* Something that ends once, with an int: 0 or more is a result, a negative number an error in
 * -errno form; -ECANCELED means cancelled. A task is a future, so is a gather. Counted references.
 */
struct lsc_future;

/* The body of a task: runs on a stack of its own (64 KiB unless lsc_loop_options says otherwise),
 * and ends by returning; what it returns is the result of its future. */
typedef int (*lsc_task_fn)(void *arg);

/* A place in the source that spawns tasks. Made by lsc_spawn(), with static lifetime. */
struct lsc_site {
	const char *function;
	const char *file;
	uint32_t line;
	uint32_t id; /* the library's; begins as 0 */
};

/* ---- run ---- */

struct lsc_loop_options {
	uint32_t size;	      /* sizeof(struct lsc_loop_options), so that fields can be added */
	uint32_t record_bits; /* the ring holds 2^record_bits records: 8..20; 0 means 15 (1 MiB) */
	uint64_t stack_size;  /* bytes of a task's stack, rounded up to pages; 0 means 64 KiB */
};

/* Makes a loop, runs main(arg) as its first task, named "main", until that returns; then cancels
 * the tasks that are left, runs them to their end (what they spawn is cancelled before it runs),
 * and closes the loop. Returns what main returned; -EBUSY when this thread runs a loop already;
 * -ENOMEM, -EMFILE, ... when the loop cannot be made. Recording never makes it fail: where the ring
 * cannot be had, the loop runs unrecorded. */
LSC_API int lsc_run(lsc_task_fn main, void *arg);

/* The same with options (borrowed; NULL for the defaults). Also -EINVAL for options out of range.
 */
LSC_API int lsc_run_with(const struct lsc_loop_options *options, lsc_task_fn main, void *arg);

/* The loop that this thread runs, or NULL. Owned by lsc_run(). */
LSC_API struct lsc_loop *lsc_loop_current(void);

/* Has fn(arg) called by the loop, outside of any task, in its next tick; calls keep their order.
 * For any thread. fn must not suspend; it may spawn, resolve and cancel. The caller sees to it that
 * the loop still exists; calls not yet made when lsc_run() ends are dropped. 0 or -ENOMEM. */
LSC_API int lsc_call_soon_threadsafe(struct lsc_loop *loop, void (*fn)(void *arg), void *arg);

/* ---- tasks ---- */

/* Starts fn(arg) as a task: it is ready at once and runs in the next tick. name (NULL: none)
 * is copied, up to 200 bytes of it; arg must live as long as the task uses it. Gives the task's
 * future, or NULL when out of memory or when this thread runs no loop. The task goes on without the
 * reference. */
#define lsc_spawn(fn, arg, name)                                                                   \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = {__func__, __FILE__, __LINE__, 0};              \
		lsc_spawn_at(&lsc_site_, (fn), (arg), (name));                                     \
	}))

/* lsc_spawn() for bindings that make their own sites; the site must outlive the process's loops. */
LSC_API struct lsc_future *lsc_spawn_at(struct lsc_site *site, lsc_task_fn fn, void *arg,
					const char *name);

/* The name of the task that runs, "" if it has none, NULL outside of tasks. Owned by the task. */
LSC_API const char *lsc_task_name(void);

/* Records a mark of the application's own: text is borrowed, up to 200 bytes are kept. */
LSC_API void lsc_mark(const char *text);

/* ---- futures ---- */

/* Gives a pending future, or NULL when out of memory or when this thread runs no loop. */
LSC_API struct lsc_future *lsc_future_new(void);

/* Ends a future made by lsc_future_new() with result and makes ready who awaits it. 0; -EALREADY
 * when it has ended, -EINVAL for a task or a gather, which end by themselves. */
LSC_API int lsc_resolve(struct lsc_future *future, int result);

/* Suspends the running task until the future (borrowed) has ended, and returns its result; returns
 * at once when it has. -EDEADLK for the task itself, -EPERM outside of tasks or for another loop's
 * future. Cancelling a task that awaits cancels what it awaits, as in asyncio. */
LSC_API int lsc_await(struct lsc_future *future);

/* Members that fail do not end the gather early: it waits for all of them. */
#define LSC_GATHER_ALL 1u

/* Gives a future that ends with 0 when all n members (borrowed; the gather holds references of its
 * own) have ended, or, without LSC_GATHER_ALL, with the first negative result as soon as there is
 * one; the other members then run on. Cancelling it cancels every member; it ends with -ECANCELED
 * after the last. NULL when out of memory or when a member belongs to another loop. */
LSC_API struct lsc_future *lsc_gather(struct lsc_future *const *members, size_t n, unsigned flags);

/* Writes the results of the members, in the order of the array given to lsc_gather(), into
 * ret_results, which has room for n ints. Returns their number; -EAGAIN while a member runs,
 * -EINVAL when gather is no gather, -ENOSPC when n is too small. */
LSC_API int lsc_gather_results(const struct lsc_future *gather, int *ret_results, size_t n);

/* Asks a future (borrowed) to end with -ECANCELED. A plain one ends at once. A task that has not
 * run yet ends without running; a suspended one gets -ECANCELED from the call it is suspended in,
 * one that runs from the next call that would suspend; it may clean up, suspend again, and return
 * what it likes. A request that a task never met makes it end as cancelled. 1 when asked, 0 when it
 * had ended before. */
LSC_API int lsc_cancel(struct lsc_future *future);

/* 1 when the future has ended. */
LSC_API int lsc_is_done(const struct lsc_future *future);

/* The result of an ended future; -EAGAIN while it is pending. */
LSC_API int lsc_result(const struct lsc_future *future);

/* One more reference; returns future. */
LSC_API struct lsc_future *lsc_ref(struct lsc_future *future);

/* Drops a reference (takes it; NULL is allowed). Returns NULL. References must be dropped before
 * the loop's lsc_run() returns. */
LSC_API struct lsc_future *lsc_unref(struct lsc_future *future);

/* ---- waits; each suspends the running task; -EPERM outside of tasks, -ECANCELED when cancelled
 * ---- */

/* For at least duration_ns; the loop's clock ticks in milliseconds, rounding up. 0 is lsc_yield().
 */
LSC_API int lsc_sleep(uint64_t duration_ns);

/* Until CLOCK_MONOTONIC has reached deadline_ns. Timers that are due together end in the order of
 * their deadlines, equal ones in the order in which they were set. -ENOMEM. */
LSC_API int lsc_sleep_until(uint64_t deadline_ns);

/* Lets the tasks that are ready run first: goes on in the next tick. */
LSC_API int lsc_yield(void);

/* Until fd is ready for events (POLLIN, POLLOUT of <poll.h>) or has an error or hang-up. Returns
 * the events that hold, POLLERR and POLLHUP included; -EINVAL for no events, -EBADF, -EPERM for a
 * file that is always ready (see epoll_ctl(2)), -ENOMEM. Several tasks may wait for one descriptor.
 * Do not close a descriptor that a task waits for: the kernel would forget it silently. */
LSC_API int lsc_wait_fd(int fd, uint32_t events);

#ifdef __cplusplus
}
#endif

#endif
