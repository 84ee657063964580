/* SPDX-License-Identifier: MIT */
/*
 * One slot a signal number, for the whole process. The handler touches nothing but the slot's two
 * atomic words and the loop's eventfd. A forked child has the handler, too, until it executes a
 * program; it must not wake its parent.
 */
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
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
static pid_t owner;	 /* atomic: the process that handles them */
static unsigned running; /* atomic: handlers, in whatever thread */

/* How long a handler that another one interrupts, perhaps for ever, is waited for. */
#define HANDLER_PATIENCE_NS LSC_NS_PER_S

static void note(int signo)
{
	struct slot *slot = &slots[signo];
	uint64_t one = 1;
	int saved = errno;

	/* Counted ahead of the look at fd: see restore(). */
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	int fd = __atomic_load_n(&slot->fd, __ATOMIC_SEQ_CST) - 1;
	if (fd >= 0 && __atomic_load_n(&owner, __ATOMIC_RELAXED) == getpid()) {
		__atomic_store_n(&slot->came, true, __ATOMIC_RELEASE);
		(void)!write(fd, &one, sizeof(one));
	}
	__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
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
	uint64_t end_ns = lsc_now_ns() + HANDLER_PATIENCE_NS;

	sigaction(signo, &slot->before, NULL);
	__atomic_store_n(&slot->fd, 0, __ATOMIC_SEQ_CST);
	slot->loop = NULL;
	/* One in another thread may still be about to write into what is closed next. */
	while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0 && lsc_now_ns() < end_ns)
		sched_yield();
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

/* Whether it was handled here. *ret_came: it has come, and nobody was told. */
static bool take_away(int signo, bool *ret_came)
{
	struct slot *slot = &slots[signo];

	pthread_mutex_lock(&lock);
	bool ours = slot->loop == loop_thread;
	if (ours)
		restore(slot, signo);
	*ret_came = ours && __atomic_exchange_n(&slot->came, false, __ATOMIC_ACQ_REL);
	pthread_mutex_unlock(&lock);
	return ours;
}

int lsc_signal_remove(int signo)
{
	bool came;

	if (!loop_thread || signo <= 0 || signo >= NSIG)
		return -ENOENT;
	return take_away(signo, &came) ? 0 : -ENOENT;
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

void signals_forked(void)
{
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	__atomic_store_n(&running, 0, __ATOMIC_RELAXED);
}

/* ---- a task that waits for one ---- */

struct signal_wait {
	struct park park;
	struct lsc_loop *loop;
	bool over;
};

static uint64_t bit_of(int signo)
{
	return 1ull << (signo - 1);
}

/* Hands the set back, up to signal number `end`. What came meanwhile is kept. */
static void let_go(struct lsc_loop *loop, const sigset_t *set, int end)
{
	bool came;

	for (int signo = 1; signo < end; signo++)
		if (sigismember(set, signo) == 1 && take_away(signo, &came) && came)
			loop->kept_signals |= bit_of(signo);
}

/* One that comes between the end of the wait and the task's turn is kept. */
static void wake(int signo, void *arg)
{
	struct signal_wait *w = arg;

	if (w->over) {
		w->loop->kept_signals |= bit_of(signo);
		return;
	}
	w->over = true;
	task_unpark(&w->park, signo);
}

static bool stop_waiting(struct park *park)
{
	container_of(park, struct signal_wait, park)->over = true;
	return true;
}

/* One of the set that was kept, or 0. */
static int take_kept(struct lsc_loop *loop, const sigset_t *set)
{
	for (int signo = 1; loop->kept_signals != 0 && signo < NSIG; signo++)
		if (sigismember(set, signo) == 1 && (loop->kept_signals & bit_of(signo))) {
			loop->kept_signals &= ~bit_of(signo);
			return signo;
		}
	return 0;
}

bool signals_handled(int signo)
{
	pthread_mutex_lock(&lock);
	bool ours = slots[signo].loop == loop_thread;
	pthread_mutex_unlock(&lock);
	return ours;
}

int lsc_signal_wait(const sigset_t *set)
{
	struct task *task = task_current();
	struct signal_wait w = {.park.cancel = stop_waiting, .loop = loop_thread};

	if (!task)
		return -EPERM;
	int r = take_kept(w.loop, set);
	if (r > 0)
		return r;
	for (int signo = 1; signo < NSIG; signo++) {
		if (sigismember(set, signo) != 1)
			continue;
		r = signals_handled(signo) ? -EBUSY : lsc_signal_add(signo, wake, &w);
		if (r < 0) {
			let_go(w.loop, set, signo);
			return r;
		}
	}
	r = task_park(task, &w.park, LSC_WAIT_SIGNAL, 0);
	let_go(w.loop, set, NSIG);
	if (r != -ECANCELED || w.park.result == -ECANCELED)
		return r;
	/* The request came second: the signal is not lost. */
	task_recancel(task);
	return w.park.result;
}
