/* SPDX-License-Identifier: MIT */
/* Messages to a client that does not read, over a socket with room for a few. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "control.h"
#include "outbox.h"

#define MANY 10000

static int ends[2];

static int connect_both(void **state)
{
	int least = 1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	return setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

static int close_both(void **state)
{
	(void)state;
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return 0;
}

static json_t *numbered(const char *type, int n)
{
	return json_pack("{s:s, s:i}", "type", type, "n", n);
}

/* The next message's type, and its number or that in its text. */
static bool next(char type[32], int *ret_number)
{
	json_t *msg;

	if (control_recv(ends[1], &msg) != 1)
		return false;
	snprintf(type, 32, "%s", json_string_value(json_object_get(msg, "type")));
	const char *text = json_string_value(json_object_get(msg, "text"));
	if (text)
		assert_int_equal(sscanf(text, "%d", ret_number), 1);
	else
		*ret_number = (int)json_integer_value(json_object_get(msg, "n"));
	json_decref(msg);
	return true;
}

static void each_message_is_read_or_counted_in_its_order(void **state)
{
	struct outbox o = {.fd = ends[0]};
	int number, seen = 0;
	char type[32];

	(void)state;
	for (int i = 0; i < MANY; i++)
		outbox_offer(&o, numbered("live", i));
	assert_true(outbox_waits(&o));
	outbox_put(&o, numbered("ready", 1));
	for (int i = 0; i < MANY; i++)
		outbox_offer(&o, numbered("live", MANY + i));
	while (next(type, &number)) {
		assert_string_equal(type, "live");
		assert_int_equal(number, seen++);
	}
	assert_in_range(seen, 1, MANY - 1);
	uint64_t missed = 2 * MANY - (uint64_t)seen;
	assert_int_equal(o.left_out, missed);

	outbox_flush(&o); /* it reads again */
	assert_false(outbox_waits(&o));
	assert_true(next(type, &number));
	assert_string_equal(type, "ready");
	assert_true(next(type, &number));
	assert_string_equal(type, "notice");
	assert_int_equal(number, missed);
	assert_false(next(type, &number));
	outbox_offer(&o, numbered("live", 7));
	assert_true(next(type, &number));
	assert_int_equal(number, 7);
	assert_int_equal(o.left_out, missed);
	outbox_done(&o);
}

static void what_is_kept_is_bounded(void **state)
{
	struct outbox o = {.fd = ends[0]};
	int number, last = -1;
	char type[32];

	(void)state;
	for (int i = 0; i < MANY; i++)
		outbox_put(&o, numbered("put", i));
	assert_int_equal(o.nkept, OUTBOX_MAX);
	for (int read = 1; read;) {
		outbox_flush(&o);
		for (read = 0; next(type, &number); read = 1)
			if (!strcmp(type, "put"))
				assert_int_equal(number, ++last);
	}
	assert_int_equal(o.left_out, MANY - last - 1);
	outbox_done(&o);
}

static void a_wait_for_the_client_ends_with_its_time_or_the_client(void **state)
{
	struct outbox o = {.fd = ends[0]};

	(void)state;
	for (int i = 0; i < MANY; i++)
		outbox_put(&o, numbered("put", i));
	uint64_t begin = lsc_now_ns();
	outbox_drain(&o, 30 * LSC_NS_PER_MS);
	assert_true(lsc_now_ns() - begin >= 30 * LSC_NS_PER_MS);
	assert_int_equal(o.nkept, OUTBOX_MAX);
	close(ends[1]);
	ends[1] = -1;
	outbox_drain(&o, 1000 * LSC_NS_PER_S);
	assert_false(outbox_waits(&o));
	outbox_done(&o);
}

int main(void)
{
#define CONNECTED(test) cmocka_unit_test_setup_teardown(test, connect_both, close_both)
	const struct CMUnitTest tests[] = {
		CONNECTED(each_message_is_read_or_counted_in_its_order),
		CONNECTED(what_is_kept_is_bounded),
		CONNECTED(a_wait_for_the_client_ends_with_its_time_or_the_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
