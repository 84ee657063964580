/* SPDX-License-Identifier: MIT */
/* Streams: reading in its units, back-pressure, and every way to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "stream.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* A stream, and the other end of its socket, which blocks. */
static struct lsc_stream *open_pair(int *ret_peer)
{
	struct lsc_stream *s = NULL;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_stream_open(pair[0], &s), 0);
	*ret_peer = pair[1];
	return s;
}

static void feed(int peer, const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), 0), strlen(text));
}

/* ---- reading ---- */

static int main_of_lines(void *arg)
{
	const char *line;
	char data[8] = {0};
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	feed(peer, "one\ntwo\n\nABCDEFrest-X-more\r\ntail");
	assert_int_equal(lsc_stream_read_line(s, &line), 4);
	assert_memory_equal(line, "one\n", 4);
	assert_int_equal(lsc_stream_read_line(s, &line), 4);
	assert_memory_equal(line, "two\n", 4);
	assert_int_equal(lsc_stream_read_line(s, &line), 1);
	assert_int_equal(lsc_stream_read_exactly(s, data, 6), 6);
	assert_string_equal(data, "ABCDEF");
	assert_int_equal(lsc_stream_read_exactly(s, data, 0), 0);
	assert_int_equal(lsc_stream_read_until(s, "-X-", 3, &line), 7);
	assert_memory_equal(line, "rest-X-", 7);
	assert_int_equal(lsc_stream_read_until(s, "\r\n", 2, &line), 6);
	assert_int_equal(lsc_stream_read_until(s, "", 0, &line), -EINVAL);
	assert_int_equal(lsc_stream_read(s, data, 2), 2);
	assert_memory_equal(data, "ta", 2);
	assert_int_equal(lsc_stream_at_eof(s), 0);
	shutdown(peer, SHUT_WR);
	/* What is missing is an error, and what came stays. */
	assert_int_equal(lsc_stream_read_exactly(s, data, 3), -ENODATA);
	assert_int_equal(lsc_stream_read_until(s, "!", 1, &line), -ENODATA);
	assert_int_equal(lsc_stream_at_eof(s), 0);
	assert_int_equal(lsc_stream_read_line(s, &line), 2);
	assert_memory_equal(line, "il", 2);
	assert_int_equal(lsc_stream_read_line(s, &line), 0);
	assert_int_equal(lsc_stream_read(s, data, sizeof(data)), 0);
	assert_int_equal(lsc_stream_at_eof(s), 1);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void a_stream_is_read_in_lines_and_pieces(void **state)
{
	(void)state;
	run(main_of_lines);
}

struct piecemeal {
	int peer;
	const char *text;
};

static int feed_bytes(void *arg)
{
	struct piecemeal *p = arg;

	for (const char *at = p->text; *at; at++) {
		assert_int_equal(send(p->peer, at, 1, 0), 1);
		lsc_yield();
	}
	shutdown(p->peer, SHUT_WR);
	return 0;
}

static int main_of_piecemeal(void *arg)
{
	const char *line;
	struct piecemeal p = {.text = "ababac;abac"};
	struct lsc_stream *s = open_pair(&p.peer);
	char *all;

	(void)arg;
	struct lsc_future *f = lsc_spawn(feed_bytes, &p, NULL);
	/* The separator overlaps itself, and comes byte by byte. */
	assert_int_equal(lsc_stream_read_until(s, "abac", 4, &line), 6);
	assert_memory_equal(line, "ababac", 6);
	assert_int_equal(lsc_stream_read_all(s, 3, &all), -EMSGSIZE);
	assert_int_equal(lsc_stream_read_all(s, 100, &all), 5);
	assert_string_equal(all, ";abac");
	free(all);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	lsc_stream_free(s);
	close(p.peer);
	return 0;
}

static void separators_are_found_across_pieces(void **state)
{
	(void)state;
	run(main_of_piecemeal);
}

static int feed_rest(void *arg)
{
	struct piecemeal *p = arg;

	feed(p->peer, p->text);
	return 0;
}

/* Short and long ones, behind what looks like their beginning, and in two pieces. */
static int main_of_separators(void *arg)
{
	static const char *const separators[] = {"\n", "\r\n", "\r\n\r\n", "--------",
						 "----------------"};
	char text[64];
	const char *data;
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	for (size_t i = 0; i < sizeof(separators) / sizeof(separators[0]); i++) {
		size_t n = strlen(separators[i]);

		for (size_t cut = 0; cut <= n; cut++) {
			snprintf(text, sizeof(text), "a\r-\r%.*s|", (int)n - 1, separators[i]);
			size_t begun = strlen(text);
			snprintf(text + begun, sizeof(text) - begun, "%.*s", (int)cut,
				 separators[i]);
			feed(peer, text);
			struct piecemeal rest = {peer, separators[i] + cut};
			struct lsc_future *f = lsc_spawn(feed_rest, &rest, NULL);
			assert_int_equal(lsc_stream_read_until(s, separators[i], n, &data),
					 begun + n);
			assert_memory_equal(data + begun, separators[i], n);
			assert_int_equal(lsc_await(f), 0);
			lsc_unref(f);
			feed(peer, "x");
			assert_int_equal(lsc_stream_read_until(s, "x", 1, &data), 1);
		}
	}
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void separators_of_any_length_are_found(void **state)
{
	(void)state;
	run(main_of_separators);
}

static int main_of_limits(void *arg)
{
	const char *line;
	char data[16];
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	assert_int_equal(lsc_stream_set_limits(s, 8, 4, 5), -EINVAL);
	assert_int_equal(lsc_stream_set_limits(s, 8, 0, 0), 0);
	feed(peer, "0123456789\nabc\n");
	assert_int_equal(lsc_stream_read_until(s, "\n", 1, &line), -EMSGSIZE);
	assert_int_equal(lsc_stream_read(s, data, 3), 3); /* nothing was dropped */
	assert_int_equal(lsc_stream_read_line(s, &line), 8);
	feed(peer, "0123456789\n");
	assert_int_equal(lsc_stream_read_line(s, &line), 4);
	assert_int_equal(lsc_stream_read_line(s, &line), -EMSGSIZE); /* and this was */
	feed(peer, "x\n");
	assert_int_equal(lsc_stream_read_line(s, &line), 2);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void lines_have_a_limit(void **state)
{
	(void)state;
	run(main_of_limits);
}

#define LONG (16 << 20)

static int write_long_line(void *arg)
{
	static char piece[1 << 16];

	memset(piece, 'x', sizeof(piece));
	for (size_t done = 0; done < LONG; done += sizeof(piece)) {
		int r = lsc_send_all(*(int *)arg, piece, sizeof(piece));

		if (r < 0)
			return r;
	}
	return lsc_send_all(*(int *)arg, "\nnext\n", 6);
}

/* Far beyond the limit, and beyond what anybody wants to hold in memory. */
static int main_of_long_lines(void *arg)
{
	const char *line;
	int peer, refused = 0;
	struct lsc_stream *s = open_pair(&peer);
	struct lsc_future *writer = lsc_spawn(write_long_line, &peer, "writes");
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read_line(s, &line)) == -EMSGSIZE) {
		assert_in_range(s->in.room, 1, 4 * s->line_limit);
		refused++;
	}
	assert_in_range(refused, 1, LONG / s->line_limit);
	/* The rest of it, if any, then the next one. */
	if (n != 5)
		n = lsc_stream_read_line(s, &line);
	assert_int_equal(n, 5);
	assert_memory_equal(line, "next\n", 5);
	assert_int_equal(lsc_await(writer), 0);
	lsc_unref(writer);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void a_line_without_end_takes_no_memory(void **state)
{
	(void)state;
	run(main_of_long_lines);
}

static int read_four(void *arg)
{
	char data[4];

	return (int)lsc_stream_read_exactly(arg, data, 4);
}

static int main_of_readers(void *arg)
{
	char data[8];
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	struct lsc_future *f = lsc_spawn(read_four, s, NULL);
	lsc_yield();
	assert_int_equal(lsc_stream_read(s, data, 1), -EBUSY);
	feed(peer, "ab");
	while (poll(&(struct pollfd){lsc_stream_fd(s), POLLIN, 0}, 1, 0) == 1)
		lsc_yield();
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	/* The two bytes it had are the next reader's. */
	feed(peer, "cd");
	assert_int_equal(lsc_stream_read_exactly(s, data, 4), 4);
	assert_memory_equal(data, "abcd", 4);
	/* Closed under a reader. */
	f = lsc_spawn(read_four, s, NULL);
	lsc_yield();
	lsc_stream_abort(s);
	assert_int_equal(lsc_await(f), -EBADF);
	lsc_unref(f);
	assert_int_equal(lsc_stream_read(s, data, 1), -EBADF);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void one_task_reads_and_a_cancelled_one_loses_nothing(void **state)
{
	(void)state;
	run(main_of_readers);
}

/* ---- writing ---- */

#define MUCH (1u << 20)

static int drain(void *arg)
{
	return lsc_stream_drain(arg);
}

static size_t receive_some(int peer, size_t most)
{
	static char data[65536];
	size_t got = 0;

	while (got < most) {
		ssize_t n = recv(peer, data, sizeof(data), MSG_DONTWAIT);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

static int main_of_drain(void *arg)
{
	static char data[MUCH];
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	assert_int_equal(lsc_stream_write(s, "x", 1), 0);
	assert_int_equal(lsc_stream_drain(s), 0); /* below the mark: at once */
	assert_int_equal(lsc_stream_write(s, data, MUCH), 0);
	struct lsc_future *f[2] = {lsc_spawn(drain, s, NULL), lsc_spawn(drain, s, NULL)};
	for (int i = 0; i < 5; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(f[0]), 0);
	lsc_cancel(f[1]);
	assert_int_equal(lsc_await(f[1]), -ECANCELED);
	size_t got = 0;
	while (!lsc_is_done(f[0])) {
		got += receive_some(peer, SIZE_MAX);
		lsc_yield();
	}
	assert_int_equal(lsc_await(f[0]), 0);
	assert_true(got >= MUCH + 1 - 300000); /* the socket's own buffer holds the rest */
	lsc_stream_close(s);
	while (got < MUCH + 1) {
		got += receive_some(peer, SIZE_MAX);
		lsc_yield();
	}
	assert_int_equal(lsc_stream_wait_closed(s), 0);
	assert_int_equal(recv(peer, data, 1, 0), 0);
	for (int i = 0; i < 2; i++)
		lsc_unref(f[i]);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void draining_waits_for_the_low_water_mark(void **state)
{
	(void)state;
	run(main_of_drain);
}

static int main_of_lost_peer(void *arg)
{
	static char data[MUCH];
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	assert_int_equal(lsc_stream_write(s, data, MUCH), 0);
	struct lsc_future *f = lsc_spawn(drain, s, NULL);
	lsc_yield();
	close(peer);
	assert_int_equal(lsc_await(f), -EPIPE);
	assert_int_equal(lsc_stream_write(s, "x", 1), -EPIPE);
	assert_int_equal(lsc_stream_drain(s), -EPIPE);
	lsc_unref(f);
	lsc_stream_close(s);
	assert_int_equal(lsc_stream_wait_closed(s), -EPIPE);
	assert_int_equal(lsc_stream_fd(s), -EBADF);
	assert_int_equal(lsc_stream_write_eof(s), -EPIPE);
	lsc_stream_free(s);
	return 0;
}

static void a_lost_peer_ends_draining(void **state)
{
	(void)state;
	run(main_of_lost_peer);
}

static int main_of_eof(void *arg)
{
	char data[8];
	int peer, ends[2];
	struct lsc_stream *s = open_pair(&peer);

	(void)arg;
	assert_int_equal(lsc_stream_write(s, "bye", 3), 0);
	assert_int_equal(lsc_stream_write_eof(s), 0);
	assert_int_equal(lsc_stream_write_eof(s), 0);
	assert_int_equal(lsc_stream_write(s, "x", 1), -EPIPE);
	assert_int_equal(recv(peer, data, sizeof(data), 0), 3);
	assert_int_equal(recv(peer, data, sizeof(data), 0), 0);
	feed(peer, "ok"); /* the other direction is open */
	assert_int_equal(lsc_stream_read(s, data, sizeof(data)), 2);
	lsc_stream_free(s);
	close(peer);
	/* A pipe has one direction: its end is the close. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(lsc_stream_open(ends[1], &s), 0);
	assert_int_equal(lsc_stream_write(s, "a", 1), 0);
	assert_int_equal(lsc_stream_write_eof(s), 0);
	assert_int_equal(read(ends[0], data, sizeof(data)), 1);
	assert_int_equal(read(ends[0], data, sizeof(data)), 0);
	lsc_stream_free(s);
	/* Without a reader: an error, not SIGPIPE. */
	close(ends[0]);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	assert_int_equal(lsc_stream_open(ends[1], &s), 0);
	assert_int_equal(lsc_stream_write(s, "a", 1), -EPIPE);
	lsc_stream_free(s);
	return 0;
}

static void the_writing_half_can_end_alone(void **state)
{
	(void)state;
	run(main_of_eof);
}

/* ---- the end ---- */

static int main_of_orphan(void *arg)
{
	static char data[MUCH];
	int *peer = arg;
	struct lsc_stream *s = open_pair(peer);

	assert_int_equal(lsc_stream_write(s, data, MUCH), 0);
	lsc_stream_free(s);
	/* Its owner has let go, and it still sends. */
	size_t got = 0;
	while (got < MUCH) {
		got += receive_some(*peer, SIZE_MAX);
		lsc_yield();
	}
	assert_int_equal(recv(*peer, data, 1, 0), 0);
	close(*peer);
	/* What is not sent when the loop ends is dropped. */
	s = open_pair(peer);
	assert_int_equal(lsc_stream_write(s, data, MUCH), 0);
	lsc_stream_free(s);
	return 0;
}

static void a_freed_stream_flushes_while_the_loop_runs(void **state)
{
	char byte;
	int peer;

	(void)state;
	assert_int_equal(lsc_run(main_of_orphan, &peer), 0);
	while (recv(peer, &byte, 1, 0) == 1)
		;
	close(peer);
}

static int main_of_terminal(void *arg)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64], echoed[16] = {0};
	struct lsc_stream *s;
	const char *line;

	(void)arg;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	int shells = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC), ours = dup(shells);
	assert_true(ours >= 0);
	assert_int_equal(lsc_stream_open(ours, &s), 0);
	assert_int_equal(lsc_stream_fd(s), ours);
	assert_int_equal(fcntl(ours, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(ours, F_GETFD), 0); /* as dup() made it */
	/* What the shell has in common with it is as before. */
	assert_int_equal(fcntl(shells, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(write(master, "hello\n", 6), 6);
	assert_int_equal(lsc_stream_read_line(s, &line), 6);
	assert_memory_equal(line, "hello\n", 6);
	assert_int_equal(read(master, echoed, 7), 7);
	assert_string_equal(echoed, "hello\r\n");
	assert_int_equal(lsc_stream_write(s, "answer\n", 7), 0);
	assert_int_equal(read(master, echoed, 8), 8);
	assert_memory_equal(echoed, "answer\r\n", 8);
	lsc_stream_free(s);
	close(shells);
	close(master);
	return 0;
}

static void a_terminal_stays_blocking_for_who_shares_it(void **state)
{
	(void)state;
	run(main_of_terminal);
}

static int main_of_misuse(void *arg)
{
	struct lsc_stream *s;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	assert_int_equal(lsc_stream_open(-1, &s), -EBADF);
	assert_int_equal(lsc_stream_open(fd, &s), -EINVAL);
	close(fd);
	return 0;
}

static struct lsc_stream *kept;

static int main_of_keeping(void *arg)
{
	kept = open_pair(arg);
	return 0;
}

static void streams_need_a_loop_and_a_task(void **state)
{
	struct lsc_stream *s;
	const char *line;
	char data[1], *all;
	int peer;

	(void)state;
	run(main_of_misuse);
	assert_int_equal(lsc_stream_open(0, &s), -EPERM);
	assert_null(lsc_stream_free(NULL));
	assert_int_equal(lsc_run(main_of_keeping, &peer), 0);
	assert_int_equal(lsc_stream_read(kept, data, 1), -EPERM);
	assert_int_equal(lsc_stream_read_exactly(kept, data, 1), -EPERM);
	assert_int_equal(lsc_stream_read_line(kept, &line), -EPERM);
	assert_int_equal(lsc_stream_read_until(kept, "x", 1, &line), -EPERM);
	assert_int_equal(lsc_stream_read_all(kept, 1, &all), -EPERM);
	assert_int_equal(lsc_stream_drain(kept), -EPERM);
	assert_int_equal(lsc_stream_wait_closed(kept), -EPERM);
	assert_int_equal(lsc_stream_fd(kept), -EBADF); /* closed with the loop */
	lsc_stream_free(kept);
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_read_in_lines_and_pieces),
		cmocka_unit_test(separators_are_found_across_pieces),
		cmocka_unit_test(separators_of_any_length_are_found),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(a_line_without_end_takes_no_memory),
		cmocka_unit_test(one_task_reads_and_a_cancelled_one_loses_nothing),
		cmocka_unit_test(draining_waits_for_the_low_water_mark),
		cmocka_unit_test(a_lost_peer_ends_draining),
		cmocka_unit_test(the_writing_half_can_end_alone),
		cmocka_unit_test(a_freed_stream_flushes_while_the_loop_runs),
		cmocka_unit_test(a_terminal_stays_blocking_for_who_shares_it),
		cmocka_unit_test(streams_need_a_loop_and_a_task),
	};
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
