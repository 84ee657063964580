/* SPDX-License-Identifier: MIT */
/*
 * One slot a signal number, for the whole process. The handler touches nothing but the slot's two
 * atomic words and the loop's eventfd. A forked child has the handler, too, until it executes a
 * program; it must not wake its parent.
 */
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "loop.h"
#include "loopscope/signal.h"
#include "task.h"

struct slot {
	struct lsc_loop *loop; /* under the lock; NULL: free */
	int fd;		       /* atomic: of that loop, plus 1; 0: none */
	bool came;	       /* atomic */
	lsc_signal_fn fn;      /* the loop's */
	void *arg;
	struct sigaction before;
};

static struct slot slots[NSIG];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner; /* atomic: the process that handles them */

static void note(int signo)
{
	struct slot *slot = &slots[signo];
	int saved = errno, fd = __atomic_load_n(&slot->fd, __ATOMIC_ACQUIRE) - 1;
	uint64_t one = 1;

	if (fd >= 0 && __atomic_load_n(&owner, __ATOMIC_RELAXED) == getpid()) {
		__atomic_store_n(&slot->came, true, __ATOMIC_RELEASE);
		(void)!write(fd, &one, sizeof(one));
	}
	errno = saved;
}

static int install(struct slot *slot, int signo)
{
	struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	__atomic_store_n(&owner, getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->came, false, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->fd, loop_thread->remote.fd + 1, __ATOMIC_RELEASE);
	if (sigaction(signo, &action, &slot->before) < 0) {
		__atomic_store_n(&slot->fd, 0, __ATOMIC_RELAXED);
		return -errno;
	}
	slot->loop = loop_thread;
	return 0;
}

static void restore(struct slot *slot, int signo)
{
	sigaction(signo, &slot->before, NULL);
	__atomic_store_n(&slot->fd, 0, __ATOMIC_RELEASE);
	slot->loop = NULL;
}

int lsc_signal_add(int signo, lsc_signal_fn fn, void *arg)
{
	int r = 0;

	if (!loop_thread)
		return -EPERM;
	if (signo <= 0 || signo >= NSIG)
		return -EINVAL;
	struct slot *slot = &slots[signo];
	pthread_mutex_lock(&lock);
	if (slot->loop && slot->loop != loop_thread)
		r = -EBUSY;
	else if (!slot->loop)
		r = install(slot, signo);
	pthread_mutex_unlock(&lock);
	if (r < 0)
		return r;
	slot->fn = fn;
	slot->arg = arg;
	loop_thread->has_signals = true;
	return 0;
}

int lsc_signal_remove(int signo)
{
	if (!loop_thread || signo <= 0 || signo >= NSIG)
		return -ENOENT;
	struct slot *slot = &slots[signo];
	pthread_mutex_lock(&lock);
	bool ours = slot->loop == loop_thread;
	if (ours)
		restore(slot, signo);
	pthread_mutex_unlock(&lock);
	return ours ? 0 : -ENOENT;
}

void signals_run(struct lsc_loop *loop)
{
	for (int signo = 1; signo < NSIG; signo++) {
		struct slot *slot = &slots[signo];

		if (!__atomic_load_n(&slot->came, __ATOMIC_ACQUIRE))
			continue;
		pthread_mutex_lock(&lock);
		bool ours = slot->loop == loop;
		pthread_mutex_unlock(&lock);
		if (ours && __atomic_exchange_n(&slot->came, false, __ATOMIC_ACQ_REL))
			slot->fn(signo, slot->arg);
	}
}

void signals_close(struct lsc_loop *loop)
{
	if (!loop->has_signals)
		return;
	pthread_mutex_lock(&lock);
	for (int signo = 1; signo < NSIG; signo++)
		if (slots[signo].loop == loop)
			restore(&slots[signo], signo);
	pthread_mutex_unlock(&lock);
}

/* ---- a task that waits for one ---- */

struct signal_wait {
	struct park park;
	const sigset_t *set;
	bool over; /* more of them may come before the task runs */
};

/* Hands the set back. Up to signal number `end`. */
static void let_go(const sigset_t *set, int end)
{
	for (int signo = 1; signo < end; signo++)
		if (sigismember(set, signo) == 1)
			lsc_signal_remove(signo);
}

static void wake(int signo, void *arg)
{
	struct signal_wait *w = arg;

	if (!w->over)
		task_unpark(&w->park, signo);
	w->over = true;
}

static bool stop_waiting(struct park *park)
{
	container_of(park, struct signal_wait, park)->over = true;
	return true;
}

static bool is_handled_here(int signo)
{
	pthread_mutex_lock(&lock);
	bool ours = slots[signo].loop == loop_thread;
	pthread_mutex_unlock(&lock);
	return ours;
}

int lsc_signal_wait(const sigset_t *set)
{
	struct signal_wait w = {.park.cancel = stop_waiting, .set = set};
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	for (int signo = 1; signo < NSIG; signo++) {
		if (sigismember(set, signo) != 1)
			continue;
		int r = is_handled_here(signo) ? -EBUSY : lsc_signal_add(signo, wake, &w);
		if (r < 0) {
			let_go(set, signo);
			return r;
		}
	}
	int r = task_park(task, &w.park, LSC_WAIT_SIGNAL, 0);
	let_go(set, NSIG);
	return r;
}
