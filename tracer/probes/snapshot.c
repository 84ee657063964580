/* SPDX-License-Identifier: MIT */
/* A perf event of one thread, for as long as it takes to get one sample. */
#include "snapshot.h"

#include <errno.h>
#include <asm/perf_regs.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PERIOD_NS   1000000 /* of its CPU time */
#define PATIENCE_MS 200
#define PAGES	    32 /* of the ring; a power of two */

/* In DWARF's order; the kernel tells them in its own, from the least bit on. */
static const int order[PROBE_REGS] = {
	PERF_REG_X86_AX,  PERF_REG_X86_DX,  PERF_REG_X86_CX,  PERF_REG_X86_BX,	PERF_REG_X86_SI,
	PERF_REG_X86_DI,  PERF_REG_X86_BP,  PERF_REG_X86_SP,  PERF_REG_X86_R8,	PERF_REG_X86_R9,
	PERF_REG_X86_R10, PERF_REG_X86_R11, PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14,
	PERF_REG_X86_R15, PERF_REG_X86_IP};

static uint64_t mask_of_all(void)
{
	uint64_t mask = 0;

	for (int i = 0; i < PROBE_REGS; i++)
		mask |= 1ull << order[i];
	return mask;
}

/* The words of a sample: abi, the registers, the stack's size, the stack, what of it was there. */
static bool take_sample(const uint64_t *at, const uint64_t *end, struct snapshot *ret)
{
	uint64_t mask = mask_of_all();

	if (end - at < 1 + PROBE_REGS + 1 || at[0] != PERF_SAMPLE_REGS_ABI_64)
		return false;
	at++;
	for (int i = 0; i < PROBE_REGS; i++)
		ret->regs[i] = at[__builtin_popcountll(mask & ((1ull << order[i]) - 1))];
	at += PROBE_REGS;
	uint64_t room = *at++;
	if (!room || room % 8 || (uint64_t)(end - at) < room / 8 + 1)
		return false;
	uint64_t size = at[room / 8];
	if (size > room || size > sizeof(ret->stack) - PROBE_RED_ZONE)
		return false;
	memset(ret->stack, 0, PROBE_RED_ZONE);
	memcpy(ret->stack + PROBE_RED_ZONE, at, size);
	ret->size = size + PROBE_RED_ZONE;
	return true;
}

/* The first sample in the ring, which has not wrapped around: there is room for some. */
static bool find_sample(const struct perf_event_mmap_page *page, struct snapshot *ret)
{
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), at = 0;
	const uint8_t *data = (const uint8_t *)page + page->data_offset;

	while (at + sizeof(struct perf_event_header) <= head && head <= page->data_size) {
		const struct perf_event_header *h = (const struct perf_event_header *)(data + at);
		if (h->size < sizeof(*h) || at + h->size > head)
			return false;
		if (h->type == PERF_RECORD_SAMPLE &&
		    take_sample((const uint64_t *)(h + 1), (const uint64_t *)(data + at + h->size),
				ret))
			return true;
		at += h->size;
	}
	return false;
}

int snapshot_take(int tid, struct snapshot *ret)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = mask_of_all(),
		.sample_stack_user = PROBE_STACK_USUAL,
		.wakeup_events = 1,
	};
	lsc_autoclose int fd =
		(int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	size_t size = (1 + PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r = poll(&p, 1, PATIENCE_MS);
	r = r < 0 ? -errno : r && find_sample(page, ret) ? 0 : -ETIMEDOUT;
	munmap(page, size);
	return r;
}
