/* SPDX-License-Identifier: MIT */
/* Decoding of events, arguments and resources. */
#include "decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "constant.h"
#include "control.h"
#include "syscall.h"
#include "target.h"

const struct event_loop *decode_loop(const struct event *e, size_t size)
{
	const struct event_loop *l = (const struct event_loop *)e;

	return size >= sizeof(*l) && l->class <= WAIT_EPOLL && l->confidence <= 3 ? l : NULL;
}

const struct event_stall *decode_stall(const struct event *e, size_t size)
{
	const struct event_stall *s = (const struct event_stall *)e;

	if (size < sizeof(*s) || s->end_ns <= s->begin_ns || s->low_ns > s->end_ns - s->begin_ns)
		return NULL;
	return s;
}

const struct event_process *decode_process(const struct event *e, size_t size)
{
	return size >= sizeof(struct event_process) ? (const struct event_process *)e : NULL;
}

const struct event_last *decode_last(const struct event *e, size_t size)
{
	return size >= sizeof(struct event_last) ? (const struct event_last *)e : NULL;
}

const struct event_waited *decode_waited(const struct event *e, size_t size)
{
	const struct event_waited *w = (const struct event_waited *)e;

	return size >= sizeof(*w) && w->kind <= WAITED_TIMER && w->ready_ns &&
			       w->ready_ns <= e->ts_ns
		       ? w
		       : NULL;
}

const struct event_python *decode_python(const struct event *e, size_t size)
{
	const struct event_python *p = (const struct event_python *)e;
	size_t head = offsetof(struct event_python, frames);

	return size >= head && p->count <= PYTHON_FRAMES && p->task.size <= sizeof(p->task.bytes) &&
			       size == head + p->count * sizeof(p->frames[0])
		       ? p
		       : NULL;
}

const struct event_block *decode_block(const struct event *e, size_t size, const void **ret_stack,
				       size_t *ret_stack_size)
{
	const struct event_block *b = (const struct event_block *)e;

	if (size < sizeof(*b))
		return NULL;
	size_t stack = b->stack_size;
	if (stack > size - sizeof(*b))
		stack = 0;
	if (e->kind == EVENT_BLOCK &&
	    (b->wake_ns < b->off_ns || e->ts_ns < b->wake_ns || b->cause >= LSC_CAUSE_COUNT))
		return NULL;
	*ret_stack = b + 1;
	*ret_stack_size = stack;
	return b;
}

/* ---- what lies behind a descriptor ---- */

uint64_t decode_fd_inode(int pid, int fd)
{
	char path[64], buf[512];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	lsc_autoclose int f = open(path, O_RDONLY | O_CLOEXEC);
	if (f < 0)
		return 0;
	ssize_t n = read(f, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	char *p = strstr(buf, "ino:");
	return p ? strtoull(p + 4, NULL, 10) : 0;
}

/* The path of a descriptor, if it still is the file that the thread waited for. */
static const char *fd_path(int pid, int fd, uint64_t ino, char *buf, size_t size)
{
	char path[64];

	if (!ino || decode_fd_inode(pid, fd) != ino)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(path, buf, size - 1);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

/* As long as it is there: a process that has ended keeps its number alone. */
static void name_process(int pid, struct block *b)
{
	b->row.resource_pid = pid;
	if (target_thread_names(pid, pid, b->resource_comm, NULL) == 0)
		b->row.resource_comm = b->resource_comm;
}

static const char *protocol_name(unsigned family, unsigned protocol)
{
	if (family == AF_UNIX)
		return "unix";
	if (family != AF_INET && family != AF_INET6)
		return NULL;
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : NULL;
}

/* The name of the socket (abstract ones with an @), and the process behind it. */
static void name_unix(const struct aux *aux, int pid, struct block *b)
{
	size_t n = aux->socket.path_size;
	const char *path = aux->socket.path;

	if (n > 0 && n <= sizeof(aux->socket.path)) {
		bool abstract = path[0] == '\0';
		snprintf(b->peer, sizeof(b->peer), "%s%.*s", abstract ? "@" : "",
			 (int)(n - abstract), path + abstract);
		b->row.peer = b->peer;
	}
	/* its own number stands in the two ends of a pair that it made */
	if (aux->socket.pid && aux->socket.pid <= INT32_MAX && (int)aux->socket.pid != pid)
		name_process((int)aux->socket.pid, b);
}

void decode_peer(const struct socket_end *s, char ret_peer[DECODE_PEER])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char host[INET6_ADDRSTRLEN];
	/* a client of IPv4 at a socket of both */
	bool v4 = s->family == AF_INET6 && !memcmp(s->address, mapped, sizeof(mapped));
	int family = v4 ? AF_INET : s->family;

	ret_peer[0] = '\0';
	if ((family != AF_INET && family != AF_INET6) || !s->port_be ||
	    !inet_ntop(family, s->address + (v4 ? sizeof(mapped) : 0), host, sizeof(host)))
		return;
	snprintf(ret_peer, DECODE_PEER, family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(s->port_be));
}

static void name_socket(const struct aux *aux, int pid, struct block *b)
{
	b->row.resource_kind = "socket";
	b->row.proto = protocol_name(aux->socket.family, aux->socket.protocol);
	if (aux->socket.family == AF_UNIX) {
		name_unix(aux, pid, b);
		return;
	}
	struct socket_end end = {.family = aux->socket.family, .port_be = aux->socket.port_be};
	char peer[DECODE_PEER];
	memcpy(end.address, aux->socket.address, sizeof(end.address));
	decode_peer(&end, peer);
	if (!peer[0])
		return;
	snprintf(b->peer, sizeof(b->peer), "%s", peer);
	b->row.peer = b->peer;
}

int decode_waited_fd(const struct event_block *e, const struct aux *aux)
{
	const struct syscall_args *a = syscall_args(e->nr);

	if (aux->type == AUX_SOCKET)
		return aux->socket.fd;
	if (aux->type == AUX_FD)
		return aux->fd;
	return a->kinds[0] == 'd' ? (int)e->args[0] : -1;
}

/* How long the sleep was meant to be, 0 unknown. clock_nanosleep may name a point in time instead.
 */
static uint64_t requested_ns(const struct event_block *e, const struct aux *aux)
{
	if (aux->time[0] < 0 || aux->time[0] >= 1ll << 32 || aux->time[1] < 0 ||
	    aux->time[1] >= 1000000000)
		return 0;
	uint64_t ns = (uint64_t)aux->time[0] * 1000000000ull + (uint64_t)aux->time[1];
	if (e->nr != SYS_clock_nanosleep || !(e->args[1] & TIMER_ABSTIME))
		return ns;
	if (e->args[0] == CLOCK_REALTIME)
		ns -= (uint64_t)lsc_wall_ns() - lsc_now_ns();
	else if (e->args[0] != CLOCK_MONOTONIC)
		return 0;
	return ns > e->off_ns && ns - e->off_ns < 1ull << 62 ? ns - e->off_ns : 0;
}

static void name_resource(const struct event_block *e, const struct aux *aux, struct block *b)
{
	int pid = (int)e->e.tgid, fd = decode_waited_fd(e, aux);

	if (e->cause == LSC_CAUSE_CHILD_WAIT) {
		b->row.resource_kind = "child";
		if (e->waker_child) {
			b->row.resource_pid = (int)e->waker_pid;
			snprintf(b->resource_comm, sizeof(b->resource_comm), "%.15s",
				 e->waker_comm);
			b->row.resource_comm = b->resource_comm;
		} else if (e->nr == SYS_wait4 && (int)e->args[0] > 0) {
			b->row.resource_pid = (int)e->args[0];
		}
		return;
	}
	if (aux->type == AUX_TIME) {
		b->row.resource_kind = "timer";
		b->row.requested_ns = requested_ns(e, aux);
		return;
	}
	if (aux->type == AUX_PATH) {
		b->row.resource_kind = e->cause == LSC_CAUSE_PIPE_IO ? "pipe" : "file";
		snprintf(b->path, sizeof(b->path), "%.*s", (int)sizeof(aux->path) - 1, aux->path);
		b->row.path = b->path;
		return;
	}
	switch (e->fd_kind) {
	case FD_REGULAR:
	case FD_DIR:
	case FD_CHAR:
		b->row.resource_kind = "file";
		b->row.path = fd_path(pid, fd, e->ino, b->path, sizeof(b->path));
		break;
	case FD_FIFO:
	case FD_PIPE:
		b->row.resource_kind = "pipe";
		b->row.path = fd_path(pid, fd, e->ino, b->path, sizeof(b->path));
		break;
	case FD_INET:
	case FD_UNIX:
		name_socket(aux, pid, b);
		break;
	default:
		if (e->cause == LSC_CAUSE_LOCK || e->cause == LSC_CAUSE_GIL)
			b->row.resource_kind = "lock";
		else if (e->cause == LSC_CAUSE_PAGE_FAULT)
			b->row.resource_kind = "memory";
		else if (e->cause == LSC_CAUSE_SLEEP)
			b->row.resource_kind = "timer";
	}
}

/* ---- arguments ---- */

static void put_arg(json_t *o, char kind, const char *name, uint64_t v)
{
	char hex[24], text[CONSTANT_TEXT];

	if (kind >= 'A' && kind <= 'Z') {
		constant_text((enum constant_kind)kind, v, text, sizeof(text));
		json_object_set_new(o, name, json_string(text));
		return;
	}
	switch (kind) {
	case 'd':
	case 'i':
	case 'p':
	case 't':
		json_object_set_new(o, name, json_integer((int)v));
		break;
	case 'u':
	case 'n':
		json_object_set_new(o, name,
				    json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
		break;
	case 'x':
		snprintf(hex, sizeof(hex), "0x%llx", (unsigned long long)v);
		json_object_set_new(o, name, json_string(hex));
		break;
	}
}

static const char *args_json(const struct event_block *e, const struct block *b, char *buf,
			     size_t size)
{
	const struct syscall_args *a = syscall_args(e->nr);
	json_t *o = json_object();

	if (!o)
		return NULL;
	if (b->row.path && ((const struct aux *)e->aux)->type == AUX_PATH)
		json_object_set_new(o, "path", control_text(b->row.path, 256));
	for (size_t i = 0; a->kinds[i]; i++)
		if (a->names[i])
			put_arg(o, a->kinds[i], a->names[i], e->args[i]);
	if (b->row.requested_ns)
		json_object_set_new(o, "requested_ns",
				    json_integer((json_int_t)b->row.requested_ns));
	size_t n = json_object_size(o) ? json_dumpb(o, buf, size - 1, JSON_COMPACT) : 0;
	json_decref(o);
	if (!n || n >= size)
		return NULL;
	buf[n] = '\0';
	return buf;
}

void decode_block_end(const struct event_block *e, struct block *b)
{
	bool woken = e->waker_seen && e->waker_pid &&
		     e->cause != LSC_CAUSE_SLEEP; /* a timer has no waker: it interrupts anybody */

	b->wake_ns = e->wake_ns;
	b->runqueue_ns = e->e.ts_ns - e->wake_ns;
	b->row.duration_ns = e->wake_ns - e->off_ns;
	b->row.cause = e->cause;
	b->row.waker_pid = woken ? (int)e->waker_pid : 0;
	b->row.waker_comm = NULL;
	if (!woken)
		return;
	snprintf(b->waker_comm, sizeof(b->waker_comm), "%.15s", e->waker_comm);
	b->row.waker_comm = b->waker_comm;
}

void decode_block_row(const struct event_block *e, struct block *b)
{
	struct aux aux;

	memcpy(&aux, e->aux, sizeof(aux));
	aux.path[sizeof(aux.path) - 1] = '\0';
	memset(b, 0, sizeof(*b));
	b->tick_ns = e->tick_ns;
	b->ring_task = e->task;
	b->row.start_ns = e->off_ns;
	b->row.count = 1;
	decode_block_end(e, b);
	if (e->cause == LSC_CAUSE_STOPPED)
		return; /* whatever the program was in */
	b->row.syscall = syscall_name(e->nr);
	/* a wait call that names no child was concluded to wait for one from who ended it */
	int class = probe_wait_class(e->nr);
	b->row.inferred = e->cause == LSC_CAUSE_CHILD_WAIT &&
			  (class > WAIT_FUTEX || e->fd_kind != FD_UNKNOWN);
	name_resource(e, &aux, b);
	b->row.args_json = args_json(e, b, b->args, sizeof(b->args));
}
