/* SPDX-License-Identifier: MIT */
/*
 * Makes the sealed memfd and chooses the clock. Whatever goes wrong here leaves a loop that runs
 * unrecorded: the library must not fail, block or kill its host for the sake of being watched.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/cleanup.h"
#include "headroom.h"
#include "own_fd.h"

/* Little-endian is the wire's order, so only such machines record. */
#define RECORDS_HERE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static struct ring_producer producer_off;

#if defined(__x86_64__)
/* True unless the kernel says that its clocksource is another than the TSC: it then found the TSC
 * unfit, whatever CPUID promises. A /sys that cannot be read says nothing. */
static bool kernel_trusts_tsc(void)
{
	char name[16];
	lsc_autoclose int fd =
		open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		     O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t n = read(fd, name, sizeof(name));
	return n <= 0 || (n >= 4 && memcmp(name, "tsc\n", 4) == 0);
}

static bool tsc_usable(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1u << 8)) /* invariant TSC */
		return false;
	return kernel_trusts_tsc();
}
#else
static bool tsc_usable(void)
{
	return false;
}
#endif

uint64_t ring_now_slow(void)
{
	return lsc_now_ns();
}

/* A pair of both clocks: of five tries the one that took least, so that no interrupt lies between.
 */
static void pair_clocks(const struct ring_producer *p, struct lsc_ring_header *h)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = ring_now(p), mono = lsc_now_ns(), after = ring_now(p);
		if (after - before >= best)
			continue;
		best = after - before;
		h->tsc0 = before + best / 2;
		h->mono0_ns = mono;
	}
}

static void fill_header(struct ring_producer *p, struct lsc_ring_header *h, unsigned bits)
{
	h->magic = LSC_RING_MAGIC;
	h->version = LSC_RING_VERSION;
	h->header_size = LSC_RING_HEADER_SIZE;
	h->record_size = LSC_RECORD_SIZE;
	h->record_bits = bits;
	h->pid = (uint32_t)getpid();
	h->tid = (uint32_t)gettid();
	h->clock = p->clock;
	h->current_offset = offsetof(struct lsc_ring_header, current_task);
	h->current_addr = (uintptr_t)&h->current_task;
	pair_clocks(p, h);
	strncpy(h->runtime, "loopscope", sizeof(h->runtime) - 1);
	strncpy(h->runtime_version, LSC_VERSION, sizeof(h->runtime_version) - 1);
}

/* A memfd of exactly size bytes, all of them reserved, or -1. Sizing a file beyond RLIMIT_FSIZE
 * raises SIGXFSZ, so the limit is asked first; a page that cannot be had later would raise SIGBUS,
 * so all are had now. */
static int make_memfd(size_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < size)
		return -1;
	lsc_autoclose int fd =
		own_fd(memfd_create(LSC_RING_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (fd < 0)
		return -1;
	/* A pending signal interrupts it; a stream of signals must not hold the host up. */
	int r = fallocate(fd, 0, 0, (off_t)size);
	for (int tries = 0; r < 0 && errno == EINTR && tries < 10; tries++)
		r = fallocate(fd, 0, 0, (off_t)size);
	if (r < 0)
		return -1;
	int out = fd;
	fd = -1;
	return out;
}

static bool tracing_allowed(void)
{
	const char *value = getenv("LSC_TRACE");

	return RECORDS_HERE && !(value && strcmp(value, "0") == 0);
}

/* A zeroed page that fork() zeroes again in the child, or NULL. */
static struct ring_producer *make_producer(void)
{
	void *page = mmap(NULL, sizeof(struct ring_producer), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, sizeof(struct ring_producer), MADV_WIPEONFORK) < 0) {
		munmap(page, sizeof(struct ring_producer));
		return NULL;
	}
	return page;
}

void ring_init(struct ring *ret)
{
	*ret = (struct ring){.producer = &producer_off, .fd = -1};
}

void ring_open(struct ring *ret, unsigned bits)
{
	size_t size = LSC_RING_HEADER_SIZE + ((size_t)LSC_RECORD_SIZE << bits);

	ring_init(ret);
	if (!tracing_allowed() || !headroom_for(size))
		return;
	struct ring_producer *p = make_producer();
	if (!p)
		return;
	int fd = make_memfd(size);
	if (fd < 0)
		goto free_producer;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		goto close_fd;
	p->clock = tsc_usable() ? LSC_CLOCK_TSC : LSC_CLOCK_MONOTONIC;
	fill_header(p, map, bits);
	if (madvise(map, size, MADV_DONTFORK) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto unmap;
	p->header = map;
	p->mask = (1ull << bits) - 1;
	p->slots = (struct lsc_record *)((char *)map + LSC_RING_HEADER_SIZE);
	*ret = (struct ring){.producer = p, .fd = fd};
	return;
unmap:
	munmap(map, size);
close_fd:
	close(fd);
free_producer:
	munmap(p, sizeof(*p));
}

void ring_close(struct ring *ring)
{
	struct ring_producer *p = ring->producer;

	/* In a forked child the page is wiped and the ring's mapping was not inherited. */
	if (p->slots)
		munmap(p->header, LSC_RING_HEADER_SIZE + (p->mask + 1) * LSC_RECORD_SIZE);
	if (ring->fd >= 0) {
		close(ring->fd);
		munmap(p, sizeof(*p));
	}
	ring_init(ring);
}

void ring_put_text(struct ring *ring, uint64_t time, const char *text, uint32_t length)
{
	struct ring_producer *p = ring->producer;
	struct lsc_record_text piece;

	if (!p->slots)
		return;
	for (uint32_t part = 0, at = 0; at < length; part++, at += piece.length) {
		uint32_t left = length - at;

		memset(&piece, 0, sizeof(piece));
		piece.time = time;
		piece.kind = LSC_REC_TEXT;
		piece.length = (uint8_t)(left < sizeof(piece.text) ? left : sizeof(piece.text));
		piece.part = (uint16_t)(part | (piece.length == left ? LSC_TEXT_LAST : 0));
		memcpy(piece.text, text + at, piece.length);

		uint64_t words[4];
		memcpy(words, &piece, sizeof(words));
		ring_store(p, &words[1]);
	}
}
