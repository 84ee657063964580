/* SPDX-License-Identifier: MIT */
/* tracer/futex: real locks of this C library name their owners, nothing else does. */
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "futex.h"

/* What a thread waits in, read from outside as the kernel shows it. */
struct wait {
	uint64_t address, op, value;
	uint32_t words[FUTEX_WORDS];
};

struct waiter {
	void *(*body)(void *);
	void *lock;
	int tid;
};

static void *enter(void *arg)
{
	struct waiter *w = arg;

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	return w->body(w->lock);
}

/* Waits until the thread sleeps in a futex and reads what lies there. */
static struct wait watch(struct waiter *w)
{
	struct wait seen = {0};
	char path[64];
	unsigned long long a[3];
	int tid, nr = -1;

	while (nr != SYS_futex) {
		tid = __atomic_load_n(&w->tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
		FILE *f = tid ? fopen(path, "re") : NULL;
		if (!f || fscanf(f, "%d %llx %llx %llx", &nr, &a[0], &a[1], &a[2]) != 4)
			nr = -1;
		if (f)
			fclose(f);
		sched_yield();
	}
	seen.address = a[0];
	seen.op = a[1];
	seen.value = a[2];
	memcpy(seen.words, (void *)(uintptr_t)a[0], sizeof(seen.words));
	return seen;
}

static int owner_of(const struct wait *w, struct futex_owner *ret)
{
	return futex_find_owner(w->op, w->value, w->words, ret);
}

static void *lock_mutex(void *m)
{
	int r = pthread_mutex_lock(m);

	if (r)
		abort();
	pthread_mutex_unlock(m);
	return NULL;
}

static void *lock_mutex_in_time(void *m)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 60;
	if (pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until))
		abort();
	pthread_mutex_unlock(m);
	return NULL;
}

static void mutex_names_this_thread(int type, int protocol, int robust, int shared,
				    void *(*body)(void *))
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;
	struct waiter w = {.body = body, .lock = &m};
	struct futex_owner o = {0};
	pthread_t t;

	pthread_mutexattr_init(&a);
	assert_int_equal(pthread_mutexattr_settype(&a, type), 0);
	assert_int_equal(pthread_mutexattr_setprotocol(&a, protocol), 0);
	assert_int_equal(pthread_mutexattr_setrobust(&a, robust), 0);
	assert_int_equal(pthread_mutexattr_setpshared(&a, shared), 0);
	assert_int_equal(pthread_mutex_init(&m, &a), 0);
	pthread_mutex_lock(&m);
	assert_int_equal(pthread_create(&t, NULL, enter, &w), 0);
	struct wait seen = watch(&w);
	int named = owner_of(&seen, &o);
	uint32_t there;
	memcpy(&there, (char *)(uintptr_t)seen.address + o.offset, sizeof(there));
	pthread_mutex_unlock(&m);
	pthread_join(t, NULL);
	print_message("type %d protocol %d robust %d shared %d\n", type, protocol, robust, shared);
	assert_true(named);
	assert_int_equal(o.ns_tid, gettid());
	assert_int_equal(there & o.mask, gettid());
	/* glibc asks the kernel for robust ones as if they were shared */
	assert_int_equal(o.shared, shared == PTHREAD_PROCESS_SHARED || robust);
	pthread_mutex_destroy(&m);
	pthread_mutexattr_destroy(&a);
}

static void every_kind_of_mutex_names_its_owner(void **state)
{
	(void)state;
	static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
	static const int protocols[] = {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT};

	for (size_t i = 0; i < 4; i++)
		for (size_t p = 0; p < 2; p++)
			for (int robust = 0; robust < 2; robust++)
				for (int shared = 0; shared < 2; shared++) {
					mutex_names_this_thread(types[i], protocols[p], robust,
								shared, lock_mutex);
					mutex_names_this_thread(types[i], protocols[p], robust,
								shared, lock_mutex_in_time);
				}
}

/* Neighbours as an application would have them. */
static struct {
	pthread_mutex_t before;
	pthread_cond_t cond;
	pthread_mutex_t mutex;
	sem_t sem;
	pthread_mutex_t held;
	pthread_rwlock_t rwlock;
	pthread_mutex_t after;
	pthread_barrier_t barrier;
	uint32_t tail[8];
} app;

static void *wait_cond(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&app.mutex);
	pthread_cond_wait(&app.cond, &app.mutex);
	pthread_mutex_unlock(&app.mutex);
	return NULL;
}

static void *wait_sem(void *arg)
{
	(void)arg;
	sem_wait(&app.sem);
	return NULL;
}

static void *wait_read(void *arg)
{
	(void)arg;
	pthread_rwlock_rdlock(&app.rwlock);
	pthread_rwlock_unlock(&app.rwlock);
	return NULL;
}

static void *wait_write(void *arg)
{
	(void)arg;
	pthread_rwlock_wrlock(&app.rwlock);
	pthread_rwlock_unlock(&app.rwlock);
	return NULL;
}

static void *wait_barrier(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&app.barrier);
	return NULL;
}

static void *wait_thread(void *other)
{
	pthread_join(*(pthread_t *)other, NULL);
	return NULL;
}

static int names_somebody(void *(*body)(void *), void *arg, pthread_t *ret_thread)
{
	static struct waiter w[16];
	static size_t n;
	struct futex_owner o;

	w[n] = (struct waiter){.body = body, .lock = arg};
	assert_int_equal(pthread_create(ret_thread, NULL, enter, &w[n]), 0);
	struct wait seen = watch(&w[n++]);
	return owner_of(&seen, &o);
}

static void no_other_wait_names_anybody(void **state)
{
	(void)state;
	pthread_t t, barrier;

	pthread_mutex_init(&app.before, NULL);
	pthread_mutex_init(&app.mutex, NULL);
	pthread_mutex_init(&app.held, NULL);
	pthread_mutex_init(&app.after, NULL);
	pthread_cond_init(&app.cond, NULL);
	pthread_rwlock_init(&app.rwlock, NULL);
	sem_init(&app.sem, 0, 0);
	pthread_barrier_init(&app.barrier, NULL, 2);
	pthread_mutex_lock(&app.before); /* mutexes around that this thread holds */
	pthread_mutex_lock(&app.held);
	pthread_mutex_lock(&app.after);
	for (size_t i = 0; i < 8; i++)
		app.tail[i] = (uint32_t)gettid();

	for (int i = 0; i < 3; i++) { /* a condition variable uses two futexes in turn */
		assert_false(names_somebody(wait_cond, NULL, &t));
		pthread_mutex_lock(&app.mutex);
		pthread_cond_signal(&app.cond);
		pthread_mutex_unlock(&app.mutex);
		pthread_join(t, NULL);
	}
	assert_false(names_somebody(wait_sem, NULL, &t));
	sem_post(&app.sem);
	pthread_join(t, NULL);
	pthread_rwlock_wrlock(&app.rwlock);
	assert_false(names_somebody(wait_read, NULL, &t));
	pthread_rwlock_unlock(&app.rwlock);
	pthread_join(t, NULL);
	pthread_rwlock_wrlock(&app.rwlock);
	assert_false(names_somebody(wait_write, NULL, &t));
	pthread_rwlock_unlock(&app.rwlock);
	pthread_join(t, NULL);
	pthread_rwlock_rdlock(&app.rwlock);
	assert_false(names_somebody(wait_write, NULL, &t));
	pthread_rwlock_unlock(&app.rwlock);
	pthread_join(t, NULL);
	assert_false(names_somebody(wait_barrier, NULL, &barrier));
	assert_false(names_somebody(wait_thread, &barrier, &t));
	pthread_barrier_wait(&app.barrier);
	pthread_join(t, NULL);
	pthread_mutex_unlock(&app.before);
	pthread_mutex_unlock(&app.held);
	pthread_mutex_unlock(&app.after);
}

static void a_lock_that_changes_hands_or_lost_its_owner_names_nobody(void **state)
{
	(void)state;
	struct futex_owner o;
	uint32_t free_again[FUTEX_WORDS] = {0, 0, 77, 1, 0};
	uint32_t unset[FUTEX_WORDS] = {2, 0, 0, 0, 0};
	uint32_t number[FUTEX_WORDS] = {2, 0, 0x400001, 1, 0};
	uint32_t died[FUTEX_WORDS] = {FUTEX_WAITERS | FUTEX_OWNER_DIED | 77, 0, 77, 1, 0x10};

	assert_false(futex_find_owner(FUTEX_WAIT_PRIVATE, 2, free_again, &o));
	assert_false(futex_find_owner(FUTEX_WAIT_PRIVATE, 2, unset, &o));
	assert_false(futex_find_owner(FUTEX_WAIT_PRIVATE, 2, number, &o));
	assert_false(futex_find_owner(FUTEX_WAIT_PRIVATE, died[0], died, &o));
	assert_false(futex_find_owner(FUTEX_LOCK_PI_PRIVATE, 0, died, &o));
	assert_false(futex_find_owner(FUTEX_WAIT_REQUEUE_PI_PRIVATE, 2, free_again, &o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_mutex_names_its_owner),
		cmocka_unit_test(no_other_wait_names_anybody),
		cmocka_unit_test(a_lock_that_changes_hands_or_lost_its_owner_names_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
