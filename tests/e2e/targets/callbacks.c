/* SPDX-License-Identifier: MIT */
/*
 * A program on libuv, built with -O2 -fomit-frame-pointer, that blocks in a callback. A line on
 * stdin names the callback, the milliseconds and how many calls deep; the answer is the callback's
 * own word for itself and the time that it took by this program's clock, as JSON. `timer` ends in
 * the call that blocks, which then is a jump: nothing of it is left on the stack.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define NOINLINE __attribute__((noinline, noclone))

static struct {
	char how[16];
	unsigned int ms;
	int depth;
	int64_t begin_ns;
} order;

static uv_idle_t idle;
static uv_timer_t timer, answer_timer;
static uv_async_t async;
static uv_pipe_t input;
static volatile int sink;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, uv_strerror(r));
		exit(1);
	}
}

static void answer(const char *callback)
{
	printf("{\"callback\": \"%s\", \"ns\": %lld}\n", callback,
	       (long long)(now_ns() - order.begin_ns));
	fflush(stdout);
}

static NOINLINE void descend(int depth)
{
	if (depth > 0)
		descend(depth - 1);
	else
		usleep(order.ms * 1000);
	sink++;
}

static void on_order_of_idle(uv_idle_t *i)
{
	uv_idle_stop(i);
	order.begin_ns = now_ns();
	descend(order.depth);
	answer("on_order_of_idle");
}

static void on_order_of_async(uv_async_t *a)
{
	(void)a;
	order.begin_ns = now_ns();
	descend(order.depth);
	answer("on_order_of_async");
}

static void on_answer(uv_timer_t *t)
{
	(void)t;
	answer("a jump");
}

/* The last thing that it does is the call that blocks. */
static void on_order_of_timer(uv_timer_t *t)
{
	order.begin_ns = now_ns();
	uv_timer_start(&answer_timer, on_answer, 0, 0);
	(void)t;
	usleep(order.ms * 1000);
}

static void obey(const char *line)
{
	if (sscanf(line, "%15s %u %d", order.how, &order.ms, &order.depth) != 3)
		exit(2);
	if (!strcmp(order.how, "idle"))
		must(uv_idle_start(&idle, on_order_of_idle), "uv_idle_start");
	else if (!strcmp(order.how, "async"))
		must(uv_async_send(&async), "uv_async_send");
	else
		must(uv_timer_start(&timer, on_order_of_timer, 1, 0), "uv_timer_start");
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	static char room[64];

	(void)h;
	(void)suggested;
	*ret = uv_buf_init(room, sizeof(room) - 1);
}

/* One line at a time: the next comes after the answer. */
static void on_line(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	(void)s;
	if (n < 0)
		exit(0);
	buf->base[n] = '\0';
	if (n > 0)
		obey(buf->base);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();

	must(uv_idle_init(loop, &idle), "uv_idle_init");
	must(uv_timer_init(loop, &timer), "uv_timer_init");
	must(uv_timer_init(loop, &answer_timer), "uv_timer_init");
	must(uv_async_init(loop, &async, on_order_of_async), "uv_async_init");
	must(uv_pipe_init(loop, &input, 0), "uv_pipe_init");
	must(uv_pipe_open(&input, STDIN_FILENO), "uv_pipe_open");
	must(uv_read_start((uv_stream_t *)&input, on_room, on_line), "uv_read_start");
	puts("ready");
	fflush(stdout);
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}
