/* SPDX-License-Identifier: MIT */
/*
 * See overflow.h. What runs in the handler is async-signal-safe: it formats by hand, and writes.
 * The fault is then met again with the default disposition, so that the process ends, and dumps
 * core, as it would have.
 */
#include "overflow.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop.h"
#include "stack.h"
#include "task.h"

#define ALTERNATE_SIZE (32u * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned loops; /* with a share in the handler; under the lock */

/* ---- the message ---- */

struct line {
	char text[512];
	size_t n;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->n < sizeof(line->text) - 1)
		line->text[line->n++] = *text++;
}

static void add_number(struct line *line, unsigned long value)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	add(line, at);
}

static void tell(const struct task *task)
{
	struct line line = {.n = 0};

	add(&line, "loopscope: task ");
	add_number(&line, task->id);
	add(&line, " '");
	add(&line, task_name(task));
	add(&line, "', spawned in ");
	add(&line, task->site->function);
	add(&line, " (");
	add(&line, task->site->file);
	add(&line, ":");
	add_number(&line, task->site->line);
	add(&line, "), has overflowed its stack of ");
	add_number(&line, task->runner->stack.size / 1024);
	add(&line, " KiB\n");
	(void)!write(STDERR_FILENO, line.text, line.n);
}

void overflow_found(const struct task *task)
{
	tell(task);
	abort();
}

/* ---- the handler ---- */

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	struct lsc_loop *loop = loop_thread;
	const struct task *task = loop ? loop->current : NULL;

	(void)context;
	if (task && task->runner && stack_is_guard(&task->runner->stack, info->si_addr))
		tell(task);
	/* Returning meets a fault again; a signal that was sent would be lost. */
	signal(signal_number, SIG_DFL);
	if (info->si_code <= 0)
		raise(signal_number);
}

static void use_alternate_stack(struct lsc_loop *loop)
{
	stack_t old;

	if (sigaltstack(NULL, &old) < 0 || !(old.ss_flags & SS_DISABLE))
		return;
	void *map = mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return;
	stack_t mine = {.ss_sp = map, .ss_size = ALTERNATE_SIZE};
	if (sigaltstack(&mine, NULL) < 0) {
		munmap(map, ALTERNATE_SIZE);
		return;
	}
	loop->alternate_stack = map;
}

void overflow_open(struct lsc_loop *loop)
{
	struct sigaction old, mine = {.sa_sigaction = on_fault};

	mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
	pthread_mutex_lock(&lock);
	if (sigaction(SIGSEGV, NULL, &old) == 0 &&
	    ((old.sa_flags & SA_SIGINFO) ? old.sa_sigaction == on_fault
					 : old.sa_handler == SIG_DFL)) {
		sigaction(SIGSEGV, &mine, NULL);
		loop->handles_overflow = true;
		loops++;
	}
	pthread_mutex_unlock(&lock);
	if (loop->handles_overflow)
		use_alternate_stack(loop);
}

void overflow_forked(void)
{
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

void overflow_close(struct lsc_loop *loop)
{
	struct sigaction old;
	stack_t now;

	if (!loop->handles_overflow)
		return;
	pthread_mutex_lock(&lock);
	/* Not if the host has put its own in place meanwhile. */
	if (--loops == 0 && sigaction(SIGSEGV, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) &&
	    old.sa_sigaction == on_fault)
		signal(SIGSEGV, SIG_DFL);
	pthread_mutex_unlock(&lock);
	if (!loop->alternate_stack)
		return;
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == loop->alternate_stack)
		sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
	munmap(loop->alternate_stack, ALTERNATE_SIZE);
	loop->alternate_stack = NULL;
}
