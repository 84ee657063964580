/* SPDX-License-Identifier: MIT */
/* See debug.h. Messages are single lines; who made the loop may have them, else they go to stderr.
 */
#include "debug.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "future.h"
#include "stack.h"
#include "task.h"
#include "trace.h"

#define SLOW_NS (100 * LSC_NS_PER_MS)

static void to_stderr(const char *message, void *arg)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "loopscope: %s\n", message);

	(void)arg;
	if (n > 0)
		(void)!write(STDERR_FILENO, line,
			     (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static bool wanted(const struct lsc_loop_options *options)
{
	const char *value = getenv("LSC_DEBUG");

	if (options->debug != LSC_DEBUG_BY_ENVIRONMENT)
		return options->debug == LSC_DEBUG_ON;
	return value && *value && strcmp(value, "0") != 0;
}

int debug_open(struct debug **ret, const struct lsc_loop_options *options)
{
	*ret = NULL;
	if (!wanted(options))
		return 0;
	struct debug *debug = calloc(1, sizeof(*debug));
	if (!debug)
		return -ENOMEM;
	debug->slow_ns = options->slow_step_ns ? options->slow_step_ns : SLOW_NS;
	debug->log = options->log ? options->log : to_stderr;
	debug->log_arg = options->log_arg;
	*ret = debug;
	return 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct debug *debug, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	debug->log(message, debug->log_arg);
}

/* "task 7 'fetch', spawned in main (app.c:12)" */
static const char *describe(const struct task *task, char *buf, size_t size)
{
	const struct lsc_site *site = task->site;

	snprintf(buf, size, "task %u '%.80s', spawned in %.80s (%.120s:%u)", task->id,
		 task_name(task), site->function, site->file, site->line);
	return buf;
}

void debug_begin(struct debug *debug)
{
	debug->begin_ns = lsc_now_ns();
}

void debug_end(struct debug *debug, const struct task *task)
{
	uint64_t ns = lsc_now_ns() - debug->begin_ns;
	char text[400];

	if (ns < debug->slow_ns)
		return;
	say(debug, "%s held the loop for %.1f ms",
	    task ? describe(task, text, sizeof(text)) : "a call", (double)ns / LSC_NS_PER_MS);
}

void debug_stack(struct lsc_loop *loop, struct task *task)
{
	const struct stack *stack = &task->runner->stack;
	uint32_t used =
		(uint32_t)(loop->current == task ? stack_measure(stack) : stack_used(stack));
	uint32_t high = __atomic_load_n(&task->site->stack_high, __ATOMIC_RELAXED);
	char text[400];

	/* Sites are shared by the loops of all threads. */
	while (used > high)
		if (__atomic_compare_exchange_n(&task->site->stack_high, &high, used, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			__atomic_store_n(&task->site->stack_size, (uint32_t)stack->size,
					 __ATOMIC_RELAXED);
			trace_site_stack(&loop->trace, task->site);
			if (used > stack->size / 4 * 3)
				say(loop->debug, "%s used %u of %zu bytes of stack",
				    describe(task, text, sizeof(text)), used, stack->size);
			return;
		}
}

void debug_locks(struct debug *debug, const struct task *task, unsigned locks)
{
	char text[400];

	say(debug, "%s ended with %u lock%s held", describe(task, text, sizeof(text)), locks,
	    locks > 1 ? "s" : "");
}

void debug_released(struct debug *debug, const struct lsc_future *future)
{
	const struct task *task = task_of(future);
	char text[400] = "a future";

	if (!future->done || future->taken || future->result == -ECANCELED)
		return;
	if (task)
		describe(task, text, sizeof(text));
	if (future->result < 0)
		say(debug, "%s: its error %d (%s) was never taken", text, future->result,
		    strerror(-future->result));
	else if (task && !task->detached)
		say(debug, "%s was never awaited", text);
}

void debug_left(struct debug *debug, const struct task *task)
{
	char text[400];

	say(debug, "%s is cancelled: its loop ends", describe(task, text, sizeof(text)));
}

void debug_foreign(struct debug *debug, const char *function)
{
	say(debug, "%s() called by another thread than the loop's: use lsc_call_soon_threadsafe()",
	    function);
}
