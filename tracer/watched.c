/* SPDX-License-Identifier: MIT */
/* fdinfo of the set, links of its descriptors, and the tables of sockets of the process's own
 * network. Links are read, never followed. */
#include "watched.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <uthash.h>

#include "base/cleanup.h"
#include "control.h"
#include "decode.h"

#define SOCKETS_MAX 65536 /* lines of each table that are looked at */

struct socket {
	unsigned long long inode;
	char local[128], peer[DECODE_PEER];
	const char *state; /* NULL unknown */
	UT_hash_handle hh;
};

struct watched {
	int pid;
	struct socket *sockets; /* owned; by inode */
};

static const char *tcp_state(unsigned int state)
{
	static const char *const names[] = {
		[1] = "established", [2] = "syn-sent",	 [3] = "syn-received", [4] = "fin-wait-1",
		[5] = "fin-wait-2",  [6] = "time-wait",	 [7] = "close",	       [8] = "close-wait",
		[9] = "last-ack",    [10] = "listening", [11] = "closing",
	};

	return state < LSC_ARRAY_LEN(names) ? names[state] : NULL;
}

/* "0100007F:1F90", or four such words and a port: words as they lie in memory. */
static void format_end(const char *hex, char buf[DECODE_PEER])
{
	char word[9] = "";
	const char *colon = strchr(hex, ':');
	size_t n = colon ? (size_t)(colon - hex) / 8 : 0;
	struct socket_end end = {.family = n == 1 ? AF_INET : AF_INET6};

	buf[0] = '\0';
	if (!colon || (n != 1 && n != 4))
		return;
	for (size_t i = 0; i < n; i++) {
		memcpy(word, hex + 8 * i, 8);
		uint32_t bits = (uint32_t)strtoul(word, NULL, 16);
		memcpy(end.address + 4 * i, &bits, sizeof(bits));
	}
	end.port_be = htons((uint16_t)strtoul(colon + 1, NULL, 16));
	decode_peer(&end, buf);
}

static struct socket *add_socket(struct socket **all, unsigned long long inode)
{
	struct socket *s;

	HASH_FIND(hh, *all, &inode, sizeof(inode), s);
	if (s || !inode)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->inode = inode;
	HASH_ADD(hh, *all, inode, sizeof(s->inode), s);
	if (!s->hh.tbl) {
		free(s);
		return NULL;
	}
	return s;
}

static FILE *open_table(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, name);
	return fopen(path, "re");
}

static void read_inet(int pid, const char *name, struct socket **all)
{
	char line[512], local[64], peer[64];
	unsigned long long inode;
	unsigned int state;
	lsc_autofclose FILE *f = open_table(pid, name);

	for (int i = 0; f && i < SOCKETS_MAX && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, "%*s %63s %63s %x %*s %*s %*s %*s %*s %llu", local, peer, &state,
			   &inode) != 4)
			continue;
		struct socket *s = add_socket(all, inode);
		if (!s)
			continue;
		format_end(local, s->local);
		format_end(peer, s->peer);
		s->state = name[0] == 't' ? tcp_state(state) : NULL;
	}
}

static void read_unix(int pid, struct socket **all)
{
	char line[512];
	unsigned long long inode;
	unsigned int flags, state;
	lsc_autofclose FILE *f = open_table(pid, "unix");

	for (int i = 0; f && i < SOCKETS_MAX && fgets(line, sizeof(line), f); i++) {
		int path = 0;
		if (sscanf(line, "%*s %*s %*s %x %*x %x %llu %n", &flags, &state, &inode, &path) !=
		    3)
			continue;
		struct socket *s = add_socket(all, inode);
		if (!s)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(s->local, sizeof(s->local), "%s", path ? line + path : "");
		s->state = flags & 0x10000 ? "listening" : state == 3 ? "connected" : NULL;
	}
}

static json_t *text_or_null(const char *text)
{
	json_t *t = control_text(text && text[0] ? text : NULL, 256);

	return t ? t : json_null();
}

/* The kind of what a link like "socket:[7]" or "anon_inode:[timerfd]" names. */
static const char *kind_of(const char *link)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {
		{"socket:[", "socket"},
		{"pipe:[", "pipe"},
		{"anon_inode:[eventfd]", "eventfd"},
		{"anon_inode:[timerfd]", "timer"},
		{"anon_inode:[eventpoll]", "epoll"},
		{"anon_inode:[signalfd]", "signals"},
		{"anon_inode:inotify", "inotify"},
		{"anon_inode:[io_uring]", "io_uring"},
		{"anon_inode:[pidfd]", "process"},
		{"pidfd:[", "process"},
		{"/dev/", "device"},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(kinds); i++)
		if (!strncmp(link, kinds[i].prefix, strlen(kinds[i].prefix)))
			return kinds[i].kind;
	return "other";
}

/* How long until a timer of the kernel's expires; null: it is not set. */
static json_t *expiry_of(int pid, int fd)
{
	char path[64], line[128];
	unsigned long long s, ns;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	lsc_autofclose FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "it_value: (%llu, %llu)", &s, &ns) == 2 && (s || ns) &&
		    s < 1000000000)
			return json_integer((json_int_t)(s * 1000000000 + ns));
	return json_null();
}

static struct socket *find_socket(const struct watched *w, const char *link)
{
	struct socket *s = NULL;

	if (strncmp(link, "socket:[", 8) == 0) {
		unsigned long long inode = strtoull(link + 8, NULL, 10);
		HASH_FIND(hh, w->sockets, &inode, sizeof(inode), s);
	}
	return s;
}

static void read_link(const struct watched *w, int fd, char link[256])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", w->pid, fd);
	ssize_t n = readlink(path, link, 255);
	link[n > 0 ? n : 0] = '\0';
}

static json_t *describe(const struct watched *w, int fd, unsigned int events)
{
	char link[256];

	read_link(w, fd, link);
	const char *kind = kind_of(link);
	json_t *d = json_pack("{s:i, s:s, s:s, s:o}", "fd", fd, "events",
			      events & EPOLLIN	  ? events & EPOLLOUT ? "in out" : "in"
			      : events & EPOLLOUT ? "out"
						  : "",
			      "kind", kind, "expires_ns",
			      !strcmp(kind, "timer") ? expiry_of(w->pid, fd) : json_null());
	watched_add_ends(w, fd, d);
	return d;
}

void watched_add_ends(const struct watched *w, int fd, json_t *object)
{
	char link[256] = "";

	if (fd >= 0)
		read_link(w, fd, link);
	const struct socket *s = find_socket(w, link);
	json_object_set_new(object, "local", text_or_null(s ? s->local : NULL));
	json_object_set_new(object, "peer", text_or_null(s ? s->peer : NULL));
	json_object_set_new(object, "state", text_or_null(s ? s->state : NULL));
}

struct watched *watched_new(int pid)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->pid = pid;
	read_inet(pid, "tcp", &w->sockets);
	read_inet(pid, "tcp6", &w->sockets);
	read_inet(pid, "udp", &w->sockets);
	read_inet(pid, "udp6", &w->sockets);
	read_unix(pid, &w->sockets);
	return w;
}

struct watched *watched_free(struct watched *w)
{
	struct socket *s, *next;

	if (!w)
		return NULL;
	HASH_ITER(hh, w->sockets, s, next)
	{
		HASH_DEL(w->sockets, s);
		free(s);
	}
	free(w);
	return NULL;
}

json_t *watched_list(const struct watched *w, int epoll_fd, size_t *ret_omitted)
{
	char path[64], line[256];
	unsigned int events;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", w->pid, epoll_fd);
	lsc_autofclose FILE *f = fopen(path, "re");
	json_t *list = f ? json_array() : NULL;
	if (!list)
		return NULL;
	*ret_omitted = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "tfd: %d events: %x", &fd, &events) != 2)
			continue;
		if (json_array_size(list) < WATCHED_MAX)
			json_array_append_new(list, describe(w, fd, events));
		else
			++*ret_omitted;
	}
	return list;
}
