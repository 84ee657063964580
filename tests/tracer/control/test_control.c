/* SPDX-License-Identifier: MIT */
/* The control codec: round trips, bounds, and peers that speak nonsense. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "control.h"

struct pair {
	int a, b;
};

static int setup(void **state)
{
	static struct pair p;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0)
		return -1;
	p = (struct pair){fd[0], fd[1]};
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	if (p->a >= 0)
		close(p->a);
	close(p->b);
	return 0;
}

static int recv_raw(struct pair *p, const void *bytes, size_t size, json_t **ret)
{
	assert_int_equal(send(p->a, bytes, size, 0), (ssize_t)size);
	return control_recv(p->b, ret);
}

static int recv_str(struct pair *p, const char *s, json_t **ret)
{
	return recv_raw(p, s, strlen(s), ret);
}

static void a_message_arrives_as_it_was_sent(void **state)
{
	struct pair *p = *state;
	json_t *got = NULL;
	json_t *sent = json_pack("{s:s, s:[i,i], s:I, s:n}", "type", "attach", "pids", 1, 2,
				 "stall_ns", (json_int_t)INT64_MAX, "cgroup");

	json_incref(sent);
	assert_int_equal(control_send(p->a, sent), 0);
	assert_int_equal(control_recv(p->b, &got), 1);
	assert_true(json_equal(sent, got));
	json_decref(sent);
	json_decref(got);
	assert_int_equal(control_recv(p->b, &got), -EAGAIN);
}

static void type_leads_the_message(void **state)
{
	struct pair *p = *state;
	char buf[64] = "";

	assert_int_equal(control_send(p->a, json_pack("{s:s, s:i}", "type", "hello", "version", 1)),
			 0);
	assert_true(recv(p->b, buf, sizeof(buf) - 1, 0) > 0);
	assert_string_equal(buf, "{\"type\":\"hello\",\"version\":1}");
}

static void the_end_of_the_stream_is_zero_and_sending_to_nobody_is_epipe(void **state)
{
	struct pair *p = *state;
	json_t *got = (json_t *)p;

	close(p->a);
	p->a = -1;
	assert_int_equal(control_recv(p->b, &got), 0);
	assert_ptr_equal(got, p);
	assert_int_equal(control_send(p->b, json_pack("{s:s}", "type", "stop")), -EPIPE);
}

static void what_a_dead_peer_had_sent_is_still_read(void **state)
{
	struct pair *p = *state;
	json_t *got;

	assert_int_equal(control_send(p->a, json_pack("{s:s}", "type", "end")), 0);
	assert_int_equal(control_send(p->b, json_pack("{s:s}", "type", "stop")), 0);
	close(p->a); /* leaves "stop" unread: the kernel reports ECONNRESET first */
	p->a = -1;
	assert_int_equal(control_recv(p->b, &got), 1);
	json_decref(got);
	assert_int_equal(control_recv(p->b, &got), 0);
}

static void a_full_socket_is_eagain(void **state)
{
	struct pair *p = *state;
	int r = 0;

	for (int i = 0; i < 100000 && !r; i++)
		r = control_send(p->a, json_pack("{s:s}", "type", "stop"));
	assert_int_equal(r, -EAGAIN);
}

static void messages_up_to_the_bound_pass_and_longer_ones_are_refused(void **state)
{
	struct pair *p = *state;
	const size_t frame = strlen("{\"type\":\"\"}");
	char *fill = malloc(CONTROL_MAX_MESSAGE + 2);
	json_t *got;

	assert_non_null(fill);
	memset(fill, 'x', CONTROL_MAX_MESSAGE + 1);
	fill[CONTROL_MAX_MESSAGE - frame] = 0;
	assert_int_equal(control_send(p->a, json_pack("{s:s}", "type", fill)), 0);
	assert_int_equal(control_recv(p->b, &got), 1);
	assert_int_equal(json_string_length(json_object_get(got, "type")),
			 CONTROL_MAX_MESSAGE - frame);
	json_decref(got);

	fill[CONTROL_MAX_MESSAGE - frame] = 'x';
	fill[CONTROL_MAX_MESSAGE - frame + 1] = 0;
	assert_int_equal(control_send(p->a, json_pack("{s:s}", "type", fill)), -EMSGSIZE);

	memset(fill, ' ', CONTROL_MAX_MESSAGE + 1);
	memcpy(fill, "{\"type\":\"x\"}", frame + 1);
	assert_int_equal(recv_raw(p, fill, CONTROL_MAX_MESSAGE + 1, &got), -EBADMSG);
	free(fill);
}

static void nonsense_is_refused(void **state)
{
	struct pair *p = *state;
	static const char *const bad[] = {
		"x",
		"null",
		"3",
		"\"type\"",
		"[]",
		"{}",
		"{\"type\":1}",
		"{\"type\":null}",
		"[{\"type\":\"x\"}]",
		"{\"type\":\"x\"",
		"{\"type\":\"x\"} {}",
		"{\"type\":\"x\",\"type\":\"y\"}",
		"{\"type\":\"x\",\"a\":NaN}",
		"{\"type\":\"\xff\"}",
		"{\"type\":\"\xed\xa0\x80\"}",
		"{\"type\":\"a\\u0000b\"}",
		"{\"type\":\"x\",\"n\":99999999999999999999999999}",
		"{\"type\":\"x\",\"\\",
		"\"\\\"",
	};
	json_t *got = (json_t *)p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (recv_str(p, bad[i], &got) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(recv_raw(p, "{\"type\":\"x\"}\0", 13, &got), -EBADMSG);
	assert_ptr_equal(got, p); /* written only on success */
}

static void nesting_is_bounded_before_it_is_parsed(void **state)
{
	struct pair *p = *state;
	char text[CONTROL_MAX_MESSAGE];
	json_t *got;

	for (int depth = 15; depth <= 16; depth++) { /* and one for the object around */
		size_t n = (size_t)sprintf(text, "{\"type\":\"x\",\"a\":");
		memset(text + n, '[', (size_t)depth);
		memset(text + n + depth, ']', (size_t)depth);
		text[n + 2 * (size_t)depth] = '}';
		int r = recv_raw(p, text, n + 2 * (size_t)depth + 1, &got);
		assert_int_equal(r, depth == 15 ? 1 : -EBADMSG);
		if (r == 1)
			json_decref(got);
	}
	memset(text, '[', sizeof(text));
	assert_int_equal(recv_raw(p, text, sizeof(text), &got), -EBADMSG);
	/* Brackets in strings are text, escaped quotes do not end them. */
	assert_int_equal(recv_str(p, "{\"type\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[{{{\"}", &got), 1);
	json_decref(got);
}

static void passed_descriptors_are_dropped(void **state)
{
	struct pair *p = *state;
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {"{\"type\":\"x\"}", 12};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	json_t *got;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &p->a, sizeof(int));
	int before = dup(0);
	close(before);
	assert_int_equal(sendmsg(p->a, &h, 0), 12);
	assert_int_equal(control_recv(p->b, &got), 1);
	json_decref(got);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void random_bytes_never_pass_for_more_than_json(void **state)
{
	struct pair *p = *state;
	static const char alphabet[] = "{}[]\",:\\u0019typenrsf-.eE \t\xc3\xa9\xff\x01";
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
	char buf[300];
	unsigned passed = 0;

	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 20000; i++) {
		size_t n = 0;
		json_t *got = NULL;

		if (i & 1) /* half of them begin well */
			n = (size_t)sprintf(buf, "{\"type\":\"x\",\"k\":");
		size_t end = n + 1 + (size_t)rand() % (i & 1 ? 12 : 200);
		while (n < end)
			buf[n++] = i & 2 ? (char)rand()
					 : alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		if (i & 1)
			buf[n++] = '}';
		int r = recv_raw(p, buf, n, &got);
		if (r == 1) {
			assert_true(json_is_string(json_object_get(got, "type")));
			json_decref(got);
			passed++;
		} else {
			assert_int_equal(r, -EBADMSG);
			assert_null(got);
		}
	}
	print_message("%u of 20000 were messages\n", passed);
}

static void check_text(const char *bytes, size_t max, const char *want)
{
	json_t *t = control_text(bytes, max);

	assert_non_null(t);
	assert_string_equal(json_string_value(t), want);
	json_decref(t);
}

static void hostile_text_becomes_valid_utf8(void **state)
{
	(void)state;
	check_text("plain", 100, "plain");
	check_text("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 100,
		   "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	check_text("\xff", 100, "\xef\xbf\xbd");
	check_text("\xc0\x80", 100, "\xef\xbf\xbd\xef\xbf\xbd");		 /* overlong NUL */
	check_text("\xed\xa0\x80", 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
	check_text("\xf4\x90\x80\x80x", 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
	check_text("a\xe2\x82", 100, "a\xef\xbf\xbd\xef\xbf\xbd"); /* cut sequence */
	check_text("", 100, "");
	json_t *none = control_text(NULL, 10);
	assert_true(json_is_null(none));
	json_decref(none);
}

static void text_is_cut_between_characters(void **state)
{
	(void)state;
	check_text("abcdef", 3, "abc");
	static const char unterminated[3] = {'a', 'b', '\xc3'}; /* like a comm of full length */
	check_text(unterminated, 3, "ab");
	check_text("ab\xc3\xa9", 4, "ab\xc3\xa9");
	check_text("\xff\xff", 4, "\xef\xbf\xbd");
	check_text("abc", 0, "");
}

static void random_text_is_always_accepted_by_jansson(void **state)
{
	(void)state;
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid() ^ 0x55;
	char buf[65];

	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)rand() % 64, max = (size_t)rand() % 80;

		for (size_t k = 0; k < n; k++)
			buf[k] = (char)(rand() % 255 + 1);
		buf[n] = 0;
		json_t *t = control_text(buf, max);
		assert_non_null(t);
		assert_true(json_string_length(t) <= max);
		json_decref(t);
	}
}

int main(void)
{
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_PAIR(a_message_arrives_as_it_was_sent),
		ON_PAIR(type_leads_the_message),
		ON_PAIR(the_end_of_the_stream_is_zero_and_sending_to_nobody_is_epipe),
		ON_PAIR(what_a_dead_peer_had_sent_is_still_read),
		ON_PAIR(a_full_socket_is_eagain),
		ON_PAIR(messages_up_to_the_bound_pass_and_longer_ones_are_refused),
		ON_PAIR(nonsense_is_refused),
		ON_PAIR(nesting_is_bounded_before_it_is_parsed),
		ON_PAIR(passed_descriptors_are_dropped),
		ON_PAIR(random_bytes_never_pass_for_more_than_json),
		cmocka_unit_test(hostile_text_becomes_valid_utf8),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(random_text_is_always_accepted_by_jansson),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
