/* SPDX-License-Identifier: MIT */
/* The reader against the real producer: a child runs a loop of our library, we attach as a stranger
 * would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "ring_track.h"

#define HOG_NS (40 * LSC_NS_PER_MS)

static int control; /* the child's end */

static int sleeper(void *arg)
{
	(void)arg;
	return lsc_sleep(3600 * LSC_NS_PER_S);
}

static int victim(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		lsc_yield();
	return 0;
}

static int hog(void *arg)
{
	uint64_t until = lsc_now_ns() + HOG_NS;

	(void)arg;
	lsc_trace_mark("hogging");
	while (lsc_now_ns() < until)
		;
	return 0;
}

/* Each byte from the parent is an order; each is answered when it is done. */
static int serve(void *arg)
{
	char c;

	lsc_unref(lsc_spawn(sleeper, NULL, "a sleeper with a name of more than twelve letters"));
	(void)arg;
	for (;;) {
		if (lsc_wait_fd(control, POLLIN) < 0 || read(control, &c, 1) != 1)
			return 0;
		if (c == 'h') {
			struct lsc_future *a = lsc_spawn(hog, NULL, "hog"),
					  *b = lsc_spawn(victim, NULL, "victim");
			lsc_await(a);
			lsc_await(b);
			lsc_unref(a);
			lsc_unref(b);
		} else if (c == 'f') {
			for (int i = 0; i < 300000; i++)
				lsc_yield();
		}
		if (write(control, &c, 1) != 1)
			return 0;
	}
}

struct watched {
	pid_t pid;
	int fd, pidfd;
	struct ring *ring;
	struct ring_track *track;
	uint64_t ticks, longest_tick_ns, hog_ns, victim_wait_ns, victim_steps, gone, gaps;
	bool marked, blamed; /* the hog: it said so; it was a tick's first culprit */
};

static void on_gone(struct ring_task *t, void *arg)
{
	struct watched *w = arg;

	w->gone++;
	if (t->name && !strcmp(t->name, "hog"))
		w->hog_ns = t->max_step_ns;
	if (t->name && !strcmp(t->name, "victim"))
		w->victim_steps = t->steps;
}

static void on_tick(const struct ring_tick *tick, void *arg)
{
	struct watched *w = arg;
	uint64_t ns = tick->end_ns - tick->begin_ns;
	const struct ring_task *first = tick->nculprits ? tick->culprits[0].task : NULL;

	w->ticks++;
	if (ns > w->longest_tick_ns)
		w->longest_tick_ns = ns;
	if (ns >= HOG_NS && first && first->name && !strcmp(first->name, "hog"))
		w->blamed = true;
}

static void on_wait(struct ring_task *t, uint64_t ready_ns, uint64_t run_ns, void *arg)
{
	struct watched *w = arg;

	if (t->name && !strcmp(t->name, "victim") && run_ns - ready_ns > w->victim_wait_ns)
		w->victim_wait_ns = run_ns - ready_ns;
}

static void on_mark(struct ring_task *t, uint64_t ns, const char *text, size_t size, void *arg)
{
	(void)ns;
	((struct watched *)arg)->marked =
		t && !strcmp(t->name, "hog") && size == 7 && !memcmp(text, "hogging", 7);
}

static void on_gap(void *arg)
{
	((struct watched *)arg)->gaps++;
}

static const struct ring_track_ops ops = {.task_gone = on_gone,
					  .tick = on_tick,
					  .ready_wait = on_wait,
					  .mark = on_mark,
					  .gap = on_gap};

static int start(void **state)
{
	struct watched *w = calloc(1, sizeof(*w));
	int pair[2];

	if (!w || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	w->pid = fork();
	if (!w->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		control = pair[1];
		_exit(lsc_run(serve, NULL) < 0);
	}
	close(pair[1]);
	w->fd = pair[0];
	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	w->track = ring_track_new(&ops, w);
	*state = w;
	return w->pid > 0 && w->pidfd >= 0 && w->track ? 0 : -1;
}

static int stop(void **state)
{
	struct watched *w = *state;
	int status;

	close(w->fd);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, &status, 0);
	close(w->pidfd);
	ring_track_free(w->track);
	ring_close(w->ring);
	free(w);
	return 0;
}

static void order(struct watched *w, char what)
{
	char c = 0;

	assert_int_equal(write(w->fd, &what, 1), 1);
	assert_int_equal(read(w->fd, &c, 1), 1);
	assert_int_equal(c, what);
}

static int take_ring(int target_fd, void *arg)
{
	struct watched *w = arg;
	struct lsc_err err;

	if (ring_open(w->pidfd, target_fd, RING_FROM_OLDEST, &w->ring, &err))
		fail_msg("%s", err.text);
	return 1;
}

static void attach(struct watched *w)
{
	assert_int_equal(ring_scan(w->pid, take_ring, w), 1);
	assert_int_equal(ring_info(w->ring)->pid, w->pid);
	assert_string_equal(ring_info(w->ring)->runtime, "loopscope");
}

static void feed(const struct ring_record *rec, void *arg)
{
	ring_track_feed(arg, rec);
}

/* All that the loop wrote until now. It idles, so this ends. */
static void drain(struct watched *w)
{
	struct pollfd none = {.fd = -1};

	poll(&none, 1, 15); /* two pairs of clocks need to lie apart */
	int n;
	while ((n = ring_read(w->ring, 4096, feed, w->track)) > 0)
		;
	assert_int_equal(n, 0);
	struct ring_ledger l = ring_ledger(w->ring);
	assert_int_equal(l.emitted, l.delivered + l.overrun + l.invalid);
	assert_int_equal(l.invalid, 0);
	assert_int_equal(l.unknown, 0);
}

static void assert_hog_was_seen(const struct watched *w)
{
	assert_true(w->marked);
	assert_true(w->blamed);
	assert_in_range(w->hog_ns, HOG_NS, 100 * HOG_NS);
	assert_true(w->longest_tick_ns >= w->hog_ns);
	/* it may have become ready at the end of the tick before: the poll between them counts too
	 */
	assert_in_range(w->victim_wait_ns, HOG_NS * 9 / 10, w->longest_tick_ns + HOG_NS / 10);
	assert_int_equal(w->victim_steps, 4);
	assert_int_equal(w->gone, 2);
	assert_int_equal(ring_track_stats(w->track).odd, 0);
}

static int is_named(struct ring_task *t, void *arg)
{
	return t->name && !strcmp(t->name, arg);
}

static void a_hog_and_its_victim_are_seen_as_they_happened(void **state)
{
	struct watched *w = *state;

	order(w, 'p');
	attach(w);
	order(w, 'h');
	drain(w);
	assert_hog_was_seen(w);
	assert_int_equal(ring_track_count(w->track), 2);
	assert_int_equal(ring_ledger(w->ring).overrun, 0);
	assert_int_equal(ring_track_each(w->track, is_named,
					 "a sleeper with a name of more than twelve letters"),
			 1);
}

static void what_happened_before_the_attach_is_told_by_the_black_box(void **state)
{
	struct watched *w = *state;

	order(w, 'h');
	attach(w);
	drain(w);
	assert_hog_was_seen(w);
	/* at most the end of the step and tick that answered, and what follows */
	assert_in_range(ring_ledger(w->ring).emitted, 0, 8);
	assert_int_equal(w->gaps, 0);
}

static int is_known_sleeper(struct ring_task *t, void *arg)
{
	const struct watched *w = arg;

	return t->name && !strncmp(t->name, "a sleeper", 9) && t->wait_kind == LSC_WAIT_TIMER &&
	       t->site && t->site->function && !strcmp(t->site->function, "serve") &&
	       t->created_ns == 0 && ring_track_state(w->track, t) == LSC_TASK_SUSPENDED;
}

static void an_overrun_is_counted_and_a_snapshot_tells_the_tasks_again(void **state)
{
	struct watched *w = *state;

	order(w, 'f'); /* the ring wraps: the spawns are overwritten */
	attach(w);
	drain(w);
	assert_int_equal(w->gaps, 1);
	assert_int_equal(ring_track_each(w->track, is_known_sleeper, w), 0);
	order(w, 'f'); /* and once more, behind our back */
	drain(w);
	assert_true(ring_ledger(w->ring).overrun > 100000);
	assert_int_equal(ring_request_snapshot(w->ring), 0);
	order(w, 'p');
	drain(w);
	assert_int_equal(ring_track_each(w->track, is_known_sleeper, w), 1);
	assert_int_equal(ring_track_count(w->track), 2);
}

static void a_killed_target_leaves_a_ring_that_can_be_read_to_its_end(void **state)
{
	struct watched *w = *state;
	siginfo_t info;

	order(w, 'h');
	attach(w);
	assert_int_equal(kill(w->pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOWAIT), 0);
	drain(w);
	assert_hog_was_seen(w);
}

int main(void)
{
#define WATCHED(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		WATCHED(a_hog_and_its_victim_are_seen_as_they_happened),
		WATCHED(what_happened_before_the_attach_is_told_by_the_black_box),
		WATCHED(an_overrun_is_counted_and_a_snapshot_tells_the_tasks_again),
		WATCHED(a_killed_target_leaves_a_ring_that_can_be_read_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
