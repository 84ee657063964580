/* SPDX-License-Identifier: MIT */
/* tracer/decode: events become rows, and nonsense is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "chance.h"
#include "decode.h"

static struct event_block block_event(int nr, enum lsc_cause cause)
{
	struct event_block e = {.e = {.kind = EVENT_BLOCK,
				      .size = sizeof(e),
				      .ts_ns = 1310,
				      .tid = (__u32)gettid(),
				      .tgid = (__u32)getpid()},
				.off_ns = 1000,
				.wake_ns = 1300,
				.tick_ns = 900,
				.nr = nr,
				.cause = (__u8)cause};
	return e;
}

static void set_aux(struct event_block *e, const struct aux *aux)
{
	memcpy(e->aux, aux, sizeof(*aux));
}

static void a_block_has_its_times_and_the_names_of_its_call(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_read, LSC_CAUSE_DEVICE);
	struct block b;

	e.args[0] = 77;
	e.args[2] = 4096;
	decode_block_row(&e, &b);
	assert_int_equal(b.row.start_ns, 1000);
	assert_int_equal(b.row.duration_ns, 300);
	assert_int_equal(b.runqueue_ns, 10);
	assert_string_equal(b.row.syscall, "read");
	assert_string_equal(b.row.args_json, "{\"fd\":77,\"count\":4096}");
	assert_false(b.row.inferred);
}

static void a_stop_is_no_call_whatever_it_interrupts(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_read, LSC_CAUSE_STOPPED);
	struct block b;

	e.args[0] = 77;
	decode_block_row(&e, &b);
	assert_int_equal(b.row.cause, LSC_CAUSE_STOPPED);
	assert_int_equal(b.row.duration_ns, e.wake_ns - e.off_ns);
	assert_null(b.row.syscall);
	assert_null(b.row.args_json);
	assert_null(b.row.resource_kind);
}

static void a_constant_among_the_arguments_has_its_name(void **state)
{
	struct event_block e = block_event(SYS_flock, LSC_CAUSE_LOCK);
	struct aux aux = {.type = AUX_PATH, .path = "/srv/fifo"};
	struct block b;

	(void)state;
	e.args[0] = 7;
	e.args[1] = LOCK_EX;
	decode_block_row(&e, &b);
	assert_string_equal(b.row.args_json, "{\"fd\":7,\"operation\":\"LOCK_EX\"}");
	e = block_event(SYS_openat, LSC_CAUSE_PIPE_IO);
	e.args[2] = O_WRONLY | O_CLOEXEC;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_string_equal(b.row.args_json,
			    "{\"path\":\"/srv/fifo\",\"flags\":\"O_WRONLY|O_CLOEXEC\"}");
}

static void a_peer_is_an_address_and_a_port(void **state)
{
	(void)state;
	struct socket_end s = {
		.family = AF_INET, .port_be = htons(6379), .address = {192, 0, 2, 7}};
	char peer[DECODE_PEER];

	decode_peer(&s, peer);
	assert_string_equal(peer, "192.0.2.7:6379");
	s.family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::7", s.address);
	decode_peer(&s, peer);
	assert_string_equal(peer, "[2001:db8::7]:6379");
	inet_pton(AF_INET6, "::ffff:192.0.2.7", s.address); /* IPv4 at a socket of both */
	decode_peer(&s, peer);
	assert_string_equal(peer, "192.0.2.7:6379");
	s.port_be = 0;
	decode_peer(&s, peer);
	assert_string_equal(peer, "");
	s = (struct socket_end){.family = AF_UNIX, .port_be = 1};
	decode_peer(&s, peer);
	assert_string_equal(peer, "");
}

static void a_wait_is_refused_when_its_fields_make_no_sense(void **state)
{
	(void)state;
	struct event_waited w = {.e = {.kind = EVENT_WAITED, .size = sizeof(w), .ts_ns = 200},
				 .ready_ns = 100,
				 .kind = WAITED_TIMER};

	assert_ptr_equal(decode_waited(&w.e, sizeof(w)), &w);
	assert_null(decode_waited(&w.e, sizeof(w) - 1));
	w.kind = WAITED_TIMER + 1;
	assert_null(decode_waited(&w.e, sizeof(w)));
	w.kind = WAITED_DATA;
	w.ready_ns = 201; /* read before it came */
	assert_null(decode_waited(&w.e, sizeof(w)));
	w.ready_ns = 0;
	assert_null(decode_waited(&w.e, sizeof(w)));
}

static void a_sleep_until_a_point_in_time_is_told_as_its_length(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_clock_nanosleep, LSC_CAUSE_SLEEP);
	struct aux aux = {.type = AUX_TIME, .time = {2, 500}};
	struct block b;

	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_int_equal(b.row.requested_ns, 2000000500);
	e.args[0] = CLOCK_MONOTONIC;
	e.args[1] = TIMER_ABSTIME;
	decode_block_row(&e, &b);
	assert_int_equal(b.row.requested_ns, 2000000500 - 1000);
	e.args[0] = CLOCK_TAI; /* not comparable: unknown */
	decode_block_row(&e, &b);
	assert_int_equal(b.row.requested_ns, 0);
	aux.time[1] = 1000000000; /* the kernel would have refused it */
	set_aux(&e, &aux);
	e.args[1] = 0;
	decode_block_row(&e, &b);
	assert_int_equal(b.row.requested_ns, 0);
	assert_null(b.row.args_json);
}

static void a_descriptor_is_named_only_while_it_is_the_same_file(void **state)
{
	(void)state;
	char path[] = "/tmp/lsc-decode-XXXXXX";
	int fd = mkstemp(path);
	struct stat st;
	struct event_block e = block_event(SYS_read, LSC_CAUSE_FILE_IO);
	struct block b;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	e.args[0] = (__u64)fd;
	e.fd_kind = FD_REGULAR;
	e.ino = st.st_ino;
	decode_block_row(&e, &b);
	assert_string_equal(b.row.resource_kind, "file");
	assert_string_equal(b.row.path, path);
	e.ino = st.st_ino + 1;
	decode_block_row(&e, &b);
	assert_string_equal(b.row.resource_kind, "file");
	assert_null(b.row.path);
	close(fd);
	unlink(path);
}

static void a_socket_names_its_peer(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_recvfrom, LSC_CAUSE_NETWORK_IO);
	struct aux aux = {.type = AUX_SOCKET,
			  .socket = {.family = AF_INET,
				     .port_be = htons(6379),
				     .protocol = IPPROTO_TCP,
				     .address = {127, 0, 0, 1},
				     .fd = 9}};
	struct block b;

	e.fd_kind = FD_INET;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_string_equal(b.row.peer, "127.0.0.1:6379");
	assert_string_equal(b.row.proto, "tcp");
	aux.socket.family = AF_INET6;
	memset(aux.socket.address, 0, sizeof(aux.socket.address));
	aux.socket.address[15] = 1;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_string_equal(b.row.peer, "[::1]:6379");
}

static void a_unix_socket_names_its_path_and_the_process_behind_it(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_recvfrom, LSC_CAUSE_NETWORK_IO);
	struct aux aux = {.type = AUX_SOCKET,
			  .socket = {.family = AF_UNIX, .path_size = 8, .pid = 1, .fd = 9}};
	struct block b;

	memcpy(aux.socket.path, "/run/s\0x", 8); /* as bind() was given it, with an end within */
	e.fd_kind = FD_UNIX;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_string_equal(b.row.proto, "unix");
	assert_string_equal(b.row.peer, "/run/s");
	assert_int_equal(b.row.resource_pid, 1);
	assert_non_null(b.row.resource_comm);
	memset(aux.socket.path, 'y', sizeof(aux.socket.path)); /* no end at all */
	aux.socket.path_size = sizeof(aux.socket.path);
	aux.socket.pid = (__u32)getpid(); /* a pair: both ends are its maker's */
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_int_equal(strlen(b.row.peer), sizeof(aux.socket.path));
	assert_int_equal(b.row.resource_pid, 0);
	aux.socket.path[0] = '\0'; /* abstract */
	aux.socket.path_size = 3;
	aux.socket.pid = 0x80000000u;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_string_equal(b.row.peer, "@yy");
	assert_int_equal(b.row.resource_pid, 0);
	aux.socket.path_size = sizeof(aux.socket.path) + 1;
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_null(b.row.peer);
}

static void a_child_wait_that_no_call_names_is_inferred(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_poll, LSC_CAUSE_CHILD_WAIT);
	struct block b;

	e.waker_child = 1;
	e.waker_pid = 4242;
	strcpy(e.waker_comm, "sleep");
	decode_block_row(&e, &b);
	assert_true(b.row.inferred);
	assert_string_equal(b.row.resource_kind, "child");
	assert_int_equal(b.row.resource_pid, 4242);
	assert_string_equal(b.row.resource_comm, "sleep");
	e = block_event(SYS_wait4, LSC_CAUSE_CHILD_WAIT);
	e.args[0] = 4243;
	decode_block_row(&e, &b);
	assert_false(b.row.inferred);
	assert_int_equal(b.row.resource_pid, 4243);
}

static void a_path_without_an_end_is_cut(void **state)
{
	(void)state;
	struct event_block e = block_event(SYS_openat, LSC_CAUSE_FILE_IO);
	struct aux aux = {.type = AUX_PATH};
	struct block b;

	memset(aux.path, 'x', sizeof(aux.path));
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_int_equal(strlen(b.row.path), sizeof(aux.path) - 1);
	memset(aux.path, 0xff, sizeof(aux.path)); /* not UTF-8: the arguments stay valid JSON */
	set_aux(&e, &aux);
	decode_block_row(&e, &b);
	assert_true(!b.row.args_json || strstr(b.row.args_json, "\xef\xbf\xbd"));
}

static void events_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	struct {
		struct event_block b;
		uint8_t stack[64];
	} e = {.b = block_event(SYS_read, LSC_CAUSE_OTHER)};
	const void *stack;
	size_t size;

	e.b.stack_size = 64;
	assert_non_null(decode_block(&e.b.e, sizeof(e), &stack, &size));
	assert_ptr_equal(stack, e.stack);
	assert_int_equal(size, 64);
	assert_non_null(decode_block(&e.b.e, sizeof(e) - 1, &stack, &size));
	assert_int_equal(size, 0); /* a stack beyond the event's end is left out */
	assert_null(decode_block(&e.b.e, sizeof(e.b) - 1, &stack, &size));
	e.b.wake_ns = e.b.off_ns - 1;
	assert_null(decode_block(&e.b.e, sizeof(e), &stack, &size));
	e.b = block_event(SYS_read, LSC_CAUSE_OTHER);
	e.b.cause = LSC_CAUSE_COUNT;
	assert_null(decode_block(&e.b.e, sizeof(e), &stack, &size));

	struct event_stall s = {.begin_ns = 10, .end_ns = 20, .low_ns = 10};
	assert_non_null(decode_stall(&s.e, sizeof(s)));
	assert_null(decode_stall(&s.e, sizeof(s) - 1));
	s.low_ns = 11;
	assert_null(decode_stall(&s.e, sizeof(s)));
	s.end_ns = 10;
	assert_null(decode_stall(&s.e, sizeof(s)));
	struct event_loop l = {.class = WAIT_EPOLL + 1};
	assert_null(decode_loop(&l.e, sizeof(l)));
}

static void a_chain_has_the_size_of_its_frames(void **state)
{
	(void)state;
	struct event_python p = {.e.kind = EVENT_PYTHON, .count = 2};
	size_t size = offsetof(struct event_python, frames) + 2 * sizeof(p.frames[0]);

	assert_ptr_equal(decode_python(&p.e, size), &p);
	assert_null(decode_python(&p.e, size - 1));
	assert_null(decode_python(&p.e, size + 1));
	assert_null(decode_python(&p.e, sizeof(p.e)));
	p.count = PYTHON_FRAMES;
	assert_ptr_equal(decode_python(&p.e, sizeof(p)), &p);
	p.task.size = sizeof(p.task.bytes);
	assert_ptr_equal(decode_python(&p.e, sizeof(p)), &p);
	p.task.size++;
	assert_null(decode_python(&p.e, sizeof(p)));
	p.task.size = 0;
	p.count = PYTHON_FRAMES + 1;
	assert_null(decode_python(&p.e, sizeof(p)));
	p.count = UINT32_MAX;
	assert_null(decode_python(&p.e, size));
}

static void random_blocks_never_break_the_decoder(void **state)
{
	(void)state;
	struct event_block e;
	struct block b;

	chance_seed();
	for (int i = 0; i < 20000; i++) {
		for (size_t k = 0; k < sizeof(e); k++)
			((uint8_t *)&e)[k] = (uint8_t)(rand() >> 7);
		e.nr %= 500;
		e.cause %= LSC_CAUSE_COUNT;
		e.fd_kind %= FD_DIR + 1;
		((struct aux *)e.aux)->type %= AUX_FUTEX + 1;
		e.e.tgid = (__u32)getpid();
		decode_block_row(&e, &b);
		assert_true(!b.row.args_json || strlen(b.row.args_json) < sizeof(b.args));
		assert_true(!b.row.path || memchr(b.path, '\0', sizeof(b.path)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_has_its_times_and_the_names_of_its_call),
		cmocka_unit_test(a_stop_is_no_call_whatever_it_interrupts),
		cmocka_unit_test(a_constant_among_the_arguments_has_its_name),
		cmocka_unit_test(a_peer_is_an_address_and_a_port),
		cmocka_unit_test(a_wait_is_refused_when_its_fields_make_no_sense),
		cmocka_unit_test(a_sleep_until_a_point_in_time_is_told_as_its_length),
		cmocka_unit_test(a_descriptor_is_named_only_while_it_is_the_same_file),
		cmocka_unit_test(a_socket_names_its_peer),
		cmocka_unit_test(a_unix_socket_names_its_path_and_the_process_behind_it),
		cmocka_unit_test(a_child_wait_that_no_call_names_is_inferred),
		cmocka_unit_test(a_path_without_an_end_is_cut),
		cmocka_unit_test(events_that_do_not_fit_are_refused),
		cmocka_unit_test(a_chain_has_the_size_of_its_frames),
		cmocka_unit_test(random_blocks_never_break_the_decoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
