/* SPDX-License-Identifier: MIT */
/* io_uring has no room for a request for a while, as when the kernel lacks memory: what could not
 * be said is said later, though nothing else would end the wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend.h"
#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

#define REFUSALS 3
#define LIMIT_NS (5 * LSC_NS_PER_S)
/* A wait that is older than twice 50 ms is not looked after any more (fd.c): no timer comes. */
#define OLD_NS (250 * LSC_NS_PER_MS)

static unsigned refusals; /* still to come */

#ifdef LSC_HAVE_URING
struct uring;
void *__real_uring_sqe(struct uring *ring);
void *__wrap_uring_sqe(struct uring *ring);
void *__wrap_uring_sqe(struct uring *ring)
{
	if (refusals == 0)
		return __real_uring_sqe(ring);
	refusals--;
	return NULL;
}
#endif

static int receive(void *arg)
{
	char byte;

	return (int)lsc_recv(*(int *)arg, &byte, 1, 0);
}

/* In a thread: whether the peer has closed within the limit. */
static int is_closed(void *arg)
{
	struct pollfd peer = {.fd = *(int *)arg};

	return poll(&peer, 1, (int)(LIMIT_NS / LSC_NS_PER_MS)) == 1 && (peer.revents & POLLHUP);
}

static int main_of_cancel(void *arg)
{
	int ends[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	struct lsc_future *task = lsc_spawn(receive, &ends[0], "receives");
	assert_int_equal(lsc_sleep(OLD_NS), 0);
	/* At the end of this tick nobody waits for it. */
	refusals = REFUSALS;
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(lsc_to_thread(is_closed, &ends[1]), 1);
	/* epoll asks for nothing. */
	assert_int_equal(refusals, lsc_loop_current()->backend->submit ? 0 : REFUSALS);
	refusals = 0;
	return close(ends[1]);
}

static void a_request_to_end_that_finds_no_room_is_made_later(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancel, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_to_end_that_finds_no_room_is_made_later),
	};
	return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
