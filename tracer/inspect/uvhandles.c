/* SPDX-License-Identifier: MIT */
/* Sources: include/uv.h, include/uv/unix.h and src/uv-common.h of 1.x, on 64 bits. */
#include "inspect/uvhandles.h"

#include <string.h>

#include "base/cleanup.h"
#include "inspect/bytes.h"

#define STACK_WORDS  4096 /* uv__io_poll() has a buffer of 12 KiB on its stack */
#define AT_A_TIME    512
#define ADDRESS_END  (1ull << 47)
#define STEPS_MAX    20000
#define TRIES	     3
#define HANDLES_MOST (1u << 20)
#define WATCHERS_MAX (1u << 24)

/* uv_loop_t */
#define LOOP_BYTES    120
#define ACTIVE	      8
#define HANDLE_QUEUE  16
#define BACKEND_FD    64
#define PENDING_QUEUE 72
#define WATCHERS      104
#define NWATCHERS     112
#define NFDS	      116

/* uv_handle_t, and at its end what each kind adds */
#define HANDLE_BYTES 96
#define HANDLE_LOOP  8
#define HANDLE_TYPE  16
#define HANDLE_NODE  32
#define HANDLE_FLAGS 88
#define MORE_BYTES   136
#define TIMEOUT	     128
#define REPEAT	     136
#define NUMBER	     104
#define ACCEPTS	     224 /* a stream's connection_cb */

enum { FLAG_CLOSING = 1, FLAG_CLOSED = 2, FLAG_ACTIVE = 4, FLAG_REF = 8, FLAG_INTERNAL = 16 };

/* By uv_handle_type: where the callback and the descriptor lie; 0 none. */
static const struct {
	uint8_t kind, callback, fd;
} types[] = {
	[1] = {INSPECTOR_HANDLE_ASYNC, 96, 0},	   [2] = {INSPECTOR_HANDLE_CHECK, 96, 0},
	[3] = {INSPECTOR_HANDLE_FS_EVENT, 104, 0}, [4] = {INSPECTOR_HANDLE_FS_POLL, 0, 0},
	[6] = {INSPECTOR_HANDLE_IDLE, 96, 0},	   [7] = {INSPECTOR_HANDLE_PIPE, 112, 184},
	[8] = {INSPECTOR_HANDLE_POLL, 96, 152},	   [9] = {INSPECTOR_HANDLE_PREPARE, 96, 0},
	[10] = {INSPECTOR_HANDLE_PROCESS, 96, 0},  [12] = {INSPECTOR_HANDLE_TCP, 112, 184},
	[13] = {INSPECTOR_HANDLE_TIMER, 96, 0},	   [14] = {INSPECTOR_HANDLE_TTY, 112, 184},
	[15] = {INSPECTOR_HANDLE_UDP, 120, 176},   [16] = {INSPECTOR_HANDLE_SIGNAL, 96, 0},
};

struct view {
	uvhandles_read_fn *read;
	void *arg;
};

static bool is_pointer(uint64_t p)
{
	return p && p % 8 == 0 && p < ADDRESS_END;
}

/* Both neighbours of a queue's head name it. */
static bool is_queue(const struct view *v, uint64_t head, const uint8_t *bytes)
{
	uint64_t next = word_at(bytes, 0), before = word_at(bytes, 8), back, on;

	return is_pointer(next) && is_pointer(before) &&
	       v->read(v->arg, next + 8, &back, sizeof(back)) && back == head &&
	       v->read(v->arg, before, &on, sizeof(on)) && on == head;
}

/* One of its handles at least is libuv's own, so that the queue is never empty. */
static bool is_loop(const struct view *v, uint64_t at, int fd)
{
	uint8_t b[LOOP_BYTES];
	uint64_t owner;

	if (!v->read(v->arg, at, b, sizeof(b)) || (int)number_at(b, BACKEND_FD) != fd ||
	    number_at(b, ACTIVE) > HANDLES_MOST || number_at(b, NWATCHERS) > WATCHERS_MAX ||
	    number_at(b, NFDS) > number_at(b, NWATCHERS) || !is_pointer(word_at(b, WATCHERS)))
		return false;
	uint64_t first = word_at(b, HANDLE_QUEUE);
	return is_queue(v, at + HANDLE_QUEUE, b + HANDLE_QUEUE) &&
	       is_queue(v, at + PENDING_QUEUE, b + PENDING_QUEUE) && first != at + HANDLE_QUEUE &&
	       v->read(v->arg, first - HANDLE_NODE + HANDLE_LOOP, &owner, sizeof(owner)) &&
	       owner == at;
}

/* AT_A_TIME words, fewer at the stack's end. */
static size_t read_words(const struct view *v, uint64_t address, uint64_t *words)
{
	size_t n = AT_A_TIME;

	while (n && !v->read(v->arg, address, words, n * sizeof(words[0])))
		n /= 2;
	return n;
}

uint64_t uvhandles_find(uvhandles_read_fn *read, void *arg, uint64_t sp, int fd)
{
	const struct view v = {read, arg};
	uint64_t words[AT_A_TIME], last = 0;

	if (sp % sizeof(words[0]))
		return 0;
	for (size_t done = 0, n; done < STACK_WORDS; done += n) {
		n = read_words(&v, sp + done * sizeof(words[0]), words);
		if (!n)
			return 0;
		for (size_t i = 0; i < n; i++) {
			if (words[i] == last || !is_pointer(words[i]))
				continue;
			last = words[i];
			if (is_loop(&v, last, fd))
				return last;
		}
	}
	return 0;
}

/* False: there is no handle of this loop. */
static bool read_handle(const struct view *v, uint64_t at, uint64_t loop, uint64_t before,
			struct uvhandle *ret, uint64_t *ret_next, bool *ret_own)
{
	uint8_t b[HANDLE_BYTES + MORE_BYTES] = {0};

	/* what a kind has less than others may be another object's, or not be there */
	if (!v->read(v->arg, at, b, sizeof(b)) && !v->read(v->arg, at, b, HANDLE_BYTES + 56) &&
	    !v->read(v->arg, at, b, HANDLE_BYTES + 8))
		return false;
	uint32_t type = number_at(b, HANDLE_TYPE), flags = number_at(b, HANDLE_FLAGS);
	if (word_at(b, HANDLE_LOOP) != loop || word_at(b, HANDLE_NODE + 8) != before ||
	    type >= LSC_ARRAY_LEN(types) || !types[type].kind)
		return false;
	*ret_next = word_at(b, HANDLE_NODE);
	*ret_own = flags & FLAG_INTERNAL;
	*ret = (struct uvhandle){
		.kind = types[type].kind,
		.active = flags & FLAG_ACTIVE,
		.referenced = flags & FLAG_REF,
		.closing = flags & (FLAG_CLOSING | FLAG_CLOSED),
		.fd = types[type].fd ? (int32_t)number_at(b, types[type].fd) : -1,
	};
	if (types[type].callback)
		ret->callback = word_at(b, types[type].callback);
	if (types[type].fd == 184 && word_at(b, ACCEPTS))
		ret->callback = word_at(b, ACCEPTS);
	if (ret->fd < 0)
		ret->fd = -1;
	if (ret->kind == INSPECTOR_HANDLE_TIMER) {
		ret->timeout_ms = word_at(b, TIMEOUT);
		ret->repeat_ms = word_at(b, REPEAT);
	} else if (ret->kind == INSPECTOR_HANDLE_SIGNAL || ret->kind == INSPECTOR_HANDLE_PROCESS) {
		ret->number = (int32_t)number_at(b, NUMBER);
	}
	return true;
}

/* Each place must name the one before, so that none is passed over. */
static bool walk(const struct view *v, uint64_t loop, struct uvhandle *ret, size_t max,
		 size_t *ret_n, size_t *ret_omitted)
{
	uint64_t head = loop + HANDLE_QUEUE, at, before = head, queue[2];

	*ret_n = *ret_omitted = 0;
	if (!v->read(v->arg, head, queue, sizeof(queue)))
		return false;
	at = queue[0];
	for (int i = 0; at != head; i++) {
		struct uvhandle handle;
		uint64_t next;
		bool own;
		if (i == STEPS_MAX || !is_pointer(at) ||
		    !read_handle(v, at - HANDLE_NODE, loop, before, &handle, &next, &own))
			return false;
		if (!own && *ret_n < max)
			ret[(*ret_n)++] = handle;
		else if (!own)
			++*ret_omitted;
		before = at;
		at = next;
	}
	return v->read(v->arg, head, queue, sizeof(queue)) && queue[1] == before;
}

bool uvhandles_read(uvhandles_read_fn *read, void *arg, uint64_t loop, struct uvhandle *ret,
		    size_t max, size_t *ret_n, size_t *ret_omitted)
{
	const struct view v = {read, arg};

	for (int i = 0; i < TRIES; i++)
		if (walk(&v, loop, ret, max, ret_n, ret_omitted))
			return true;
	*ret_n = *ret_omitted = 0;
	return false;
}
