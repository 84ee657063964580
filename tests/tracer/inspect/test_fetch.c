/* SPDX-License-Identifier: MIT */
/* Who asks for which debug file, when. The test is the keeper, and the fetcher that it starts. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/fetch.h"
#include "inspect/fetcher.h"

static struct fetch fetch;
static int epoll = -1, keeper = -1, fetcher = -1; /* the other ends */
static uint64_t now;
static struct {
	unsigned int n;
	int pid;
	uint32_t edition;
} come;

static void on_come(const struct desk_question *q, uint32_t edition, void *arg)
{
	assert_ptr_equal(arg, &come);
	come.n++;
	come.pid = q->pid;
	come.edition = edition;
}

static void step(void)
{
	crew_listen(epoll);
	fetch_step(&fetch, now);
}

/* Answers the keeper's next question. */
static void start_fetcher(void)
{
	const struct message_crew crew = {.kind = MESSAGE_CREW, .worker = 1};
	const struct message_status hello = {.kind = MESSAGE_HELLO};
	int pair[2];
	char ask;

	assert_int_equal(message_recv(keeper, &ask, 1, NULL, 0, MSG_DONTWAIT), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lsc_closep(&fetcher);
	fetcher = pair[0];
	assert_int_equal(message_send(keeper, &crew, sizeof(crew), NULL, 0, &pair[1], 1, 0), 0);
	assert_int_equal(message_send(fetcher, &hello, sizeof(hello), NULL, 0, NULL, 0, 0), 0);
	close(pair[1]);
	step();
}

/* What the fetcher is asked for; empty: nothing. */
static const char *asked(void)
{
	static struct message_fetch m;
	ssize_t n = message_recv(fetcher, &m, sizeof(m), NULL, 0, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return "";
	assert_int_equal(n, sizeof(m));
	assert_int_equal(m.kind, MESSAGE_FETCH);
	return m.build_id;
}

static void answer(int status)
{
	const struct message_status m = {.kind = MESSAGE_FETCHED, .value = status};

	assert_int_equal(message_send(fetcher, &m, sizeof(m), NULL, 0, NULL, 0, 0), 0);
	step();
}

static void want(int pid, uint64_t inode, const char *id, uint32_t edition)
{
	const struct desk_question q = {
		.pid = pid, .tid = pid, .file = {.inode = inode}, .noffsets = 1};

	fetch_want(&fetch, &q, id, edition, now);
	step();
}

static void assert_missed(const char *id, const char *why)
{
	struct inspector_missed m;

	assert_true(fetch_next_missed(&fetch, &m));
	assert_string_equal(m.build_id, id);
	assert_non_null(strstr(m.why, why));
	assert_false(fetch_next_missed(&fetch, &m));
}

static void one_is_asked_for_at_a_time_and_each_once(void **state)
{
	(void)state;
	want(1, 1, "aaaa", 0);
	start_fetcher();
	want(1, 2, "bbbb", 0);
	want(2, 1, "aaaa", 0);
	want(2, 1, "aaaa", 0);
	assert_string_equal(asked(), "aaaa");
	assert_string_equal(asked(), "");
	assert_int_equal(come.n, 0);
	assert_true(fetch_is_under_way(&fetch, "aaaa", 0));
	assert_true(fetch_is_under_way(&fetch, "bbbb", 0));
	assert_false(fetch_is_under_way(&fetch, "cccc", 0));
	answer(0);
	assert_int_equal(come.n, 2); /* for both targets */
	assert_true(fetch_is_under_way(&fetch, "aaaa", 0));
	assert_false(fetch_is_under_way(&fetch, "aaaa", 1)); /* it is used */
	assert_int_equal(come.pid, 2);
	assert_int_equal(come.edition, 1);
	assert_string_equal(asked(), "bbbb");
	answer(-ENOENT);
	assert_missed("bbbb", "has none");
	assert_false(fetch_is_under_way(&fetch, "bbbb", 0));
	want(1, 2, "bbbb", 0);
	want(1, 1, "aaaa", 1); /* it came, and was refused */
	assert_string_equal(asked(), "");
	assert_int_equal(come.n, 2);
	want(3, 1, "aaaa", 0); /* it came while that was indexed */
	assert_int_equal(come.n, 3);
	assert_int_equal(come.pid, 3);
}

static void targets_take_turns(void **state)
{
	static const char *const order[] = {"a000", "b000", "c000", "a001", "b001", "a002", "a003"};
	char id[16];

	(void)state;
	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "a00%d", i);
		want(1, (uint64_t)i, id, 0);
	}
	want(2, 1, "b000", 0);
	want(2, 2, "b001", 0);
	want(3, 1, "c000", 0);
	start_fetcher();
	for (size_t i = 0; i < LSC_ARRAY_LEN(order); i++) {
		assert_string_equal(asked(), order[i]);
		answer(0);
	}
	assert_string_equal(asked(), "");
}

/* It is asked for in the turn of the one that would wait for long. */
static void what_two_targets_lack_comes_in_the_sooner_turn(void **state)
{
	(void)state;
	want(1, 1, "a000", 0);
	want(1, 2, "a001", 0);
	want(1, 3, "a002", 0);
	want(2, 1, "a002", 0);
	start_fetcher();
	assert_string_equal(asked(), "a000");
	answer(0);
	assert_string_equal(asked(), "a002");
	answer(0);
	assert_string_equal(asked(), "a001");
}

static void silent_servers_are_left_alone_for_a_while(void **state)
{
	(void)state;
	want(1, 1, "aaaa", 0);
	want(1, 2, "bbbb", 0);
	want(1, 3, "cccc", 0);
	start_fetcher();
	assert_string_equal(asked(), "aaaa");
	answer(-ETIME);
	assert_missed("aaaa", "in time");
	assert_string_equal(asked(), "bbbb");
	answer(-ETIMEDOUT);
	assert_missed("bbbb", "in time");
	assert_string_equal(asked(), "");
	assert_int_equal(fetch_deadline_ns(&fetch), now + STRIKES_REST_NS);
	now += STRIKES_REST_NS;
	step();
	assert_string_equal(asked(), "cccc");
	answer(0);
	assert_int_equal(come.n, 1);
}

static void a_fetcher_that_hangs_or_talks_nonsense_is_replaced(void **state)
{
	const struct message_status nonsense[] = {{.kind = MESSAGE_FETCHED, .value = 1},
						  {.kind = MESSAGE_HELLO, .value = 0}};

	(void)state;
	want(1, 1, "a000", 0);
	start_fetcher();
	assert_string_equal(asked(), "a000");
	now += fetcher_limit_ns() + 10 * LSC_NS_PER_S - 1;
	step();
	assert_false(fetch_next_missed(&fetch, &(struct inspector_missed){0}));
	assert_int_equal(fetch_deadline_ns(&fetch), ++now);
	step();
	assert_missed("a000", "in time");
	for (size_t i = 0; i < LSC_ARRAY_LEN(nonsense); i++) {
		char id[] = "b000";
		id[3] = (char)('1' + i);
		want(1, 1, id, 0);
		now += LSC_NS_PER_S / 10; /* it is not called at once when one was lost before */
		step();
		start_fetcher();
		assert_string_equal(asked(), id);
		assert_int_equal(message_send(fetcher, &nonsense[i], sizeof(nonsense[i]), NULL, 0,
					      NULL, 0, 0),
				 0);
		step();
		assert_missed(id, "failed");
	}
	assert_int_equal(come.n, 0);
}

static void one_that_dies_costs_what_it_was_at(void **state)
{
	(void)state;
	want(1, 1, "aaaa", 0);
	want(1, 2, "bbbb", 0);
	start_fetcher();
	assert_string_equal(asked(), "aaaa");
	lsc_closep(&fetcher);
	fetcher = -1;
	step();
	assert_missed("aaaa", "failed");
	start_fetcher();
	assert_string_equal(asked(), "bbbb");
	answer(0);
	assert_int_equal(come.n, 1);
}

static void what_has_not_come_at_the_end_is_told(void **state)
{
	struct inspector_missed m;
	unsigned int n = 0;

	(void)state;
	want(1, 1, "aaaa", 0);
	want(1, 2, "bbbb", 0);
	start_fetcher();
	assert_string_equal(asked(), "aaaa");
	fetch_end(&fetch);
	for (; fetch_next_missed(&fetch, &m); n++)
		assert_non_null(strstr(m.why, "when the capture ended"));
	assert_int_equal(n, 2);
}

static void their_number_is_bounded(void **state)
{
	unsigned int n = 0;
	char id[16];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(id, sizeof(id), "%04x", i);
		want(i + 1, 1, id, 0);
		want(i + 1, 1, "0000", 0);
	}
	fetch_end(&fetch);
	while (fetch_next_missed(&fetch, &(struct inspector_missed){0}))
		n++;
	assert_int_equal(n, 512);
	assert_int_equal(fetch.askers, 0);
}

static void one_target_leaves_some_of_them_to_others(void **state)
{
	unsigned int of_others = 0, n = 0;
	struct inspector_missed m;
	char id[16];

	(void)state;
	for (int i = 0; i < 600; i++) {
		snprintf(id, sizeof(id), "aa%04x", i);
		want(1, (uint64_t)i, id, 0);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "bb%04x", i);
		want(2, (uint64_t)i, id, 0);
	}
	fetch_end(&fetch);
	for (; fetch_next_missed(&fetch, &m); n++)
		of_others += strncmp(m.build_id, "bb", 2) == 0;
	assert_int_equal(of_others, 100);
	assert_int_equal(n, 512 / 4 + 100);
}

static void without_a_server_nobody_is_asked(void **state)
{
	char ask;

	(void)state;
	fetch.on = false;
	want(1, 1, "aaaa", 0);
	fetch_end(&fetch);
	assert_false(fetch_next_missed(&fetch, &(struct inspector_missed){0}));
	assert_int_equal(message_recv(keeper, &ask, 1, NULL, 0, MSG_DONTWAIT), -EAGAIN);
}

static void what_an_index_lacks_is_a_build_id(void **state)
{
	static const char *const wrong[] = {"..", "aa/../b", "AA00", "a", "aa00\n"};
	struct {
		struct message_index m;
		char text;
	} in = {.m = {.kind = MESSAGE_INDEX, .text_size = 1}};
	size_t size = offsetof(typeof(in), text) + 1;
	struct message_index m;

	(void)state;
	assert_int_equal(index_message_read(&in, size, &m), 0);
	snprintf(in.m.lacks, sizeof(in.m.lacks), "%s", "00ff");
	assert_int_equal(index_message_read(&in, size, &m), 0);
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		snprintf(in.m.lacks, sizeof(in.m.lacks), "%s", wrong[i]);
		assert_int_equal(index_message_read(&in, size, &m), -EBADMSG);
	}
	memset(in.m.lacks, 'a', sizeof(in.m.lacks)); /* without an end */
	assert_int_equal(index_message_read(&in, size, &m), -EBADMSG);
}

/* The real one, of a real keeper. */
struct real {
	char cache[32];
	pid_t keeper;
	int places[KEEPER_CREWS], worker;
};

static void start_real(struct real *r)
{
	struct message_status m;
	struct message_crew crew;
	int broker;

	setenv("DEBUGINFOD_CACHE_PATH", r->cache, 1);
	assert_int_equal(keeper_start(&r->keeper, r->places), 0);
	assert_int_equal(keeper_ask(r->places[KEEPER_FETCHER], KEEPER_CREW), 0);
	struct pollfd p = {.fd = r->places[KEEPER_FETCHER], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 10000), 1);
	int taken = keeper_take(r->places[KEEPER_FETCHER], &crew, &broker, &r->worker);
	assert_int_equal(taken, 0);
	assert_int_equal(broker, -1);
	assert_int_equal(crew.broker, 0);
	assert_true(crew.worker > 0);
	assert_int_equal(message_recv(r->worker, &m, sizeof(m), NULL, 0, 0), sizeof(m));
	assert_int_equal(m.kind, MESSAGE_HELLO);
}

/* Its answer. */
static int ask_real(struct real *r)
{
	const struct message_fetch good = {.kind = MESSAGE_FETCH, .build_id = "aa00"};
	struct message_status m;

	assert_int_equal(message_send(r->worker, &good, sizeof(good), NULL, 0, NULL, 0, 0), 0);
	assert_int_equal(message_recv(r->worker, &m, sizeof(m), NULL, 0, 0), sizeof(m));
	assert_int_equal(m.kind, MESSAGE_FETCHED);
	return m.value;
}

static void end_real(struct real *r)
{
	close(r->worker);
	for (int i = 0; i < KEEPER_CREWS; i++)
		close(r->places[i]);
	keeper_wait(r->keeper);
	unsetenv("DEBUGINFOD_CACHE_PATH");
}

static void a_fetcher_comes_alone_and_ends_at_nonsense(void **state)
{
	struct real r = {.cache = "/tmp/fetch-XXXXXX"};
	struct message_fetch bad = {.kind = MESSAGE_FETCH};
	struct message_status m;

	(void)state;
	memset(bad.build_id, 'a', sizeof(bad.build_id));
	assert_non_null(mkdtemp(r.cache));
	setenv("DEBUGINFOD_URLS", "", 1); /* an error, whatever libraries there are */
	start_real(&r);
	assert_true(ask_real(&r) < 0);
	assert_int_equal(message_send(r.worker, &bad, sizeof(bad), NULL, 0, NULL, 0, 0), 0);
	assert_int_equal(message_recv(r.worker, &m, sizeof(m), NULL, 0, 0), 0);
	end_real(&r);
	assert_int_equal(rmdir(r.cache), 0);
}

static void a_disk_is_not_filled_up(void **state)
{
	struct real r = {.cache = "/tmp/fetch-XXXXXX"};

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
		print_message("skipped: not allowed to mount\n");
		skip();
	}
	assert_non_null(mkdtemp(r.cache));
	setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1", 1); /* nobody listens */
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("none", r.cache, "tmpfs", 0, "size=64m,mode=0777"), 0);
	start_real(&r);
	int no_library = fetcher_check(), answer = ask_real(&r);
	end_real(&r);
	assert_int_equal(umount(r.cache), 0);
	assert_int_equal(rmdir(r.cache), 0);
	assert_int_equal(answer, no_library < 0 ? no_library : -ENOSPC);
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	fetch = (struct fetch){0};
	memset(&come, 0, sizeof(come));
	keeper = pair[0];
	epoll = epoll_create1(EPOLL_CLOEXEC);
	now = LSC_NS_PER_S;
	setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1", 1);
	unsetenv("DEBUGINFOD_MAXTIME");
	return epoll < 0 ? -1 : fetch_init(&fetch, epoll, pair[1], true, on_come, &come);
}

static int tear_down(void **state)
{
	(void)state;
	fetch_done(&fetch);
	lsc_closep(&epoll);
	lsc_closep(&keeper);
	lsc_closep(&fetcher);
	epoll = keeper = fetcher = -1;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_is_asked_for_at_a_time_and_each_once),
		TEST(targets_take_turns),
		TEST(what_two_targets_lack_comes_in_the_sooner_turn),
		TEST(silent_servers_are_left_alone_for_a_while),
		TEST(a_fetcher_that_hangs_or_talks_nonsense_is_replaced),
		TEST(one_that_dies_costs_what_it_was_at),
		TEST(what_has_not_come_at_the_end_is_told),
		TEST(their_number_is_bounded),
		TEST(one_target_leaves_some_of_them_to_others),
		TEST(without_a_server_nobody_is_asked),
		cmocka_unit_test(what_an_index_lacks_is_a_build_id),
		cmocka_unit_test(a_fetcher_comes_alone_and_ends_at_nonsense),
		cmocka_unit_test(a_disk_is_not_filled_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
