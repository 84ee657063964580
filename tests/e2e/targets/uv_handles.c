/* SPDX-License-Identifier: MIT */
/*
 * Loops of libuv with random handles. Arguments: a seed, loops (each in a thread, the first one
 * libuv's default), handles a loop. Prints for each thread what uv_walk() says of its loop, then
 * turns them for good.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#define HANDLES_MAX 2000

static unsigned int seed;
static size_t handles;
static pthread_mutex_t out = PTHREAD_MUTEX_INITIALIZER;
static const char *const no_args[] = {"sleep", "1000", NULL};

/* Their names are what counts. */
static void on_timer(uv_timer_t *h)
{
	(void)h;
}
static void on_signal(uv_signal_t *h, int n)
{
	(void)h, (void)n;
}
static void on_async(uv_async_t *h)
{
	(void)h;
}
static void on_client(uv_stream_t *h, int status)
{
	(void)h, (void)status;
}
static void on_poll(uv_poll_t *h, int status, int events)
{
	(void)h, (void)status, (void)events;
}
static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from,
			unsigned int flags)
{
	(void)h, (void)n, (void)b, (void)from, (void)flags;
}
static void on_exit_of_child(uv_process_t *h, int64_t status, int number)
{
	(void)h, (void)status, (void)number;
}
static void on_change(uv_fs_event_t *h, const char *name, int events, int status)
{
	(void)h, (void)name, (void)events, (void)status;
}
static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
	(void)h, (void)n, (void)b;
}
static void on_buffer(uv_handle_t *h, size_t n, uv_buf_t *b)
{
	(void)h, (void)n;
	*b = uv_buf_init(NULL, 0);
}

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, uv_strerror(r));
	exit(1);
}

static void make_tcp(uv_loop_t *loop, uv_tcp_t *tcp, unsigned int *random)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[2];

	check(uv_tcp_init(loop, tcp), "uv_tcp_init");
	if (rand_r(random) % 2) {
		check(uv_tcp_bind(tcp, (struct sockaddr *)&a, 0), "uv_tcp_bind");
		check(uv_listen((uv_stream_t *)tcp, 10, on_client), "uv_listen");
		return;
	}
	check(uv_socketpair(SOCK_STREAM, 0, fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE), "pair");
	check(uv_tcp_open(tcp, fds[0]), "uv_tcp_open");
	if (rand_r(random) % 2) /* paused, or read from */
		check(uv_read_start((uv_stream_t *)tcp, on_buffer, on_read), "uv_read_start");
}

static void make_process(uv_loop_t *loop, uv_process_t *process)
{
	uv_process_options_t o = {
		.file = "sleep", .args = (char **)no_args, .exit_cb = on_exit_of_child};

	check(uv_spawn(loop, process, &o), "uv_spawn");
}

static void make(uv_loop_t *loop, unsigned int *random)
{
	union uv_any_handle *h = calloc(1, sizeof(*h));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[2];

	if (!h)
		exit(1);
	switch (rand_r(random) % 8) {
	case 0:
	case 1:
		check(uv_timer_init(loop, &h->timer), "uv_timer_init");
		if (rand_r(random) % 4)
			check(uv_timer_start(&h->timer, on_timer, 100000 + rand_r(random) % 1000000,
					     rand_r(random) % 2 ? 5000 : 0),
			      "uv_timer_start");
		break;
	case 2:
		make_tcp(loop, &h->tcp, random);
		break;
	case 3:
		check(uv_async_init(loop, &h->async, on_async), "uv_async_init");
		break;
	case 4:
		check(uv_signal_init(loop, &h->signal), "uv_signal_init");
		check(uv_signal_start(&h->signal, on_signal, SIGUSR2), "uv_signal_start");
		break;
	case 5:
		check(uv_udp_init(loop, &h->udp), "uv_udp_init");
		check(uv_udp_bind(&h->udp, (struct sockaddr *)&a, 0), "uv_udp_bind");
		check(uv_udp_recv_start(&h->udp, on_buffer, on_datagram), "uv_udp_recv_start");
		break;
	case 6:
		check(uv_pipe(fds, 0, 0), "uv_pipe");
		check(uv_poll_init(loop, &h->poll, fds[0]), "uv_poll_init");
		check(uv_poll_start(&h->poll, UV_READABLE, on_poll), "uv_poll_start");
		break;
	case 7:
		check(uv_fs_event_init(loop, &h->fs_event), "uv_fs_event_init");
		check(uv_fs_event_start(&h->fs_event, on_change, "/proc/self", 0), "uv_fs_event");
		break;
	}
	if (rand_r(random) % 3 == 0)
		uv_unref(&h->handle);
}

struct walk {
	const char *comma;
};

/* The name of the callback that make() gave. */
static const char *callback_of(const uv_handle_t *h)
{
	switch (h->type) {
	case UV_TIMER:
		return uv_is_active(h) ? "on_timer" : NULL;
	case UV_SIGNAL:
		return "on_signal";
	case UV_ASYNC:
		return "on_async";
	case UV_UDP:
		return "on_datagram";
	case UV_POLL:
		return "on_poll";
	case UV_FS_EVENT:
		return "on_change";
	case UV_PROCESS:
		return "on_exit_of_child";
	default:
		return NULL;
	}
}

static void print(uv_handle_t *h, void *arg)
{
	struct walk *w = arg;
	uv_os_fd_t fd = -1;
	const char *callback = callback_of(h);
	uint64_t due = 0, repeat = 0;
	int number = 0;

	if (uv_fileno(h, &fd) < 0)
		fd = -1;
	if (h->type == UV_TIMER) {
		due = uv_is_active(h) ? uv_now(h->loop) + uv_timer_get_due_in((uv_timer_t *)h) : 0;
		repeat = uv_timer_get_repeat((uv_timer_t *)h);
	}
	if (h->type == UV_SIGNAL)
		number = ((uv_signal_t *)h)->signum;
	if (h->type == UV_PROCESS)
		number = uv_process_get_pid((uv_process_t *)h);
	printf("%s{\"kind\": \"%s\", \"active\": %d, \"referenced\": %d, \"fd\": %d, \"due_ms\": "
	       "%llu, \"repeat_ms\": %llu, \"number\": %d, \"callback\": \"%s\"}",
	       w->comma, uv_handle_type_name(h->type), !!uv_is_active(h), !!uv_has_ref(h), fd,
	       (unsigned long long)due, (unsigned long long)repeat, number,
	       callback ? callback : "");
	w->comma = ", ";
}

static void *turn(void *arg)
{
	uv_loop_t *loop = arg;
	unsigned int random;
	struct walk w = {.comma = ""};
	uv_timer_t keep;

	pthread_mutex_lock(&out);
	random = seed++;
	for (size_t i = 0; i < handles; i++)
		make(loop, &random);
	make_process(loop, calloc(1, sizeof(uv_process_t)));
	check(uv_timer_init(loop, &keep), "uv_timer_init");
	check(uv_timer_start(&keep, on_timer, 1u << 30, 0), "uv_timer_start");
	printf("{\"tid\": %d, \"version\": \"%s\", \"handles\": [", (int)gettid(),
	       uv_version_string());
	uv_walk(loop, print, &w);
	printf("]}\n");
	fflush(stdout);
	pthread_mutex_unlock(&out);
	uv_run(loop, UV_RUN_DEFAULT);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 4)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = (unsigned int)strtoul(argv[1], NULL, 10);
	int loops = atoi(argv[2]);
	handles = (size_t)atoi(argv[3]);
	if (handles > HANDLES_MAX)
		return 2;
	for (int i = 1; i < loops; i++) {
		uv_loop_t *loop = calloc(1, sizeof(*loop));
		if (!loop || uv_loop_init(loop) < 0 || pthread_create(&thread, NULL, turn, loop))
			return 1;
	}
	turn(uv_default_loop());
	return 1;
}
