/* SPDX-License-Identifier: MIT */
/* Tasks: coroutines that the loop runs. A task is a future (future.h). */
#ifndef LOOPSCOPE_TASK_H
#define LOOPSCOPE_TASK_H

#include "loopscope/api.h"

LSC_BEGIN

/* A place in the source that spawns tasks. Made by lsc_spawn(), with static lifetime. */
struct lsc_site {
	const char *function;
	const char *file;
	uint32_t line;
	uint32_t id;	     /* the library's; begins as 0 */
	uint32_t stack_high; /* bytes of stack that a task from here used at most; in debug mode */
	uint32_t stack_size; /* ... of a stack of so many bytes */
};

#define LSC_SITE_HERE_                                                                             \
	{                                                                                          \
		__func__, __FILE__, __LINE__, 0, 0, 0                                              \
	}

/* Starts fn(arg) as a task: it is ready at once and runs after what is ready already. name (NULL:
 * none) is copied, up to 200 bytes of it; arg must live as long as the task uses it. Gives the
 * task's future, or NULL when out of memory or when this thread has no loop. The task goes on
 * without the reference. It gets its stack when it first runs; one that cannot have a stack then
 * ends with -ENOMEM. */
#define lsc_spawn(fn, arg, name)                                                                   \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_spawn_at(&lsc_site_, (fn), (arg), (name));                                     \
	}))

/* lsc_spawn() for bindings that make their own sites; the site must outlive the process's loops.
 * The same errors. */
LSC_API struct lsc_future *lsc_spawn_at(struct lsc_site *site, lsc_task_fn fn, void *arg,
					const char *name);

struct lsc_task_options {
	uint64_t size;	     /* sizeof(struct lsc_task_options), so that fields can be added */
	const char *name;    /* as of lsc_spawn() */
	uint64_t stack_size; /* bytes, rounded up to a power of two of at least 16 KiB, at most 1
				GiB; 0: as the loop's options say */
};

/* lsc_spawn() with options (borrowed). NULL also for options out of range. */
#define lsc_spawn_with(fn, arg, options)                                                           \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_spawn_with_at(&lsc_site_, (fn), (arg), (options));                             \
	}))

/* The same with options, as lsc_spawn_with(). */
LSC_API struct lsc_future *lsc_spawn_with_at(struct lsc_site *site, lsc_task_fn fn, void *arg,
					     const struct lsc_task_options *options);

/* The task that runs; borrowed. NULL outside of tasks. */
LSC_API struct lsc_future *lsc_current_task(void);

/* Writes up to n of the tasks that have not ended, oldest first, into ret (borrowed: ref what you
 * keep). Returns how many there are: 0 in a thread without a loop. Never fails. */
LSC_API size_t lsc_all_tasks(struct lsc_future **ret, size_t n);

/* How often the task (borrowed) was asked to end, less lsc_uncancel(); -EINVAL for what is no task.
 */
LSC_API int lsc_cancelling(const struct lsc_future *task);

/* Takes one request back: whoever asked has dealt with the answer. The last one also takes back
 * what was not delivered yet. Returns how many are left; -EINVAL for what is no task. */
LSC_API int lsc_uncancel(struct lsc_future *task);

/* The name of the task that runs, "" if it has none, NULL outside of tasks. Owned by the task. */
LSC_API const char *lsc_task_name(void);

/* Suspends: lets the tasks that are ready run first. 0, -EPERM, -ECANCELED. */
LSC_API int lsc_yield(void);

LSC_END

#endif
