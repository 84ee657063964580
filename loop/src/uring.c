/* SPDX-License-Identifier: MIT */
/* io_uring by its bare system calls: io_uring_setup(2), io_uring_enter(2). */
#include "backend.h"

#ifdef LSC_HAVE_URING

#include "uring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "hot.h"
#include "own_fd.h"

/* Completions are made by the thread that waits for them, and by nobody else (Linux 6.1). */
#if defined(IORING_SETUP_DEFER_TASKRUN) && defined(IORING_SETUP_SINGLE_ISSUER)
#define QUIET_FLAGS (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
#else
#define QUIET_FLAGS 0u
#endif

/* A loop that waits for its connections does not wait for a disk (Linux 6.15). */
#if !defined(IORING_FEAT_NO_IOWAIT)
#define IORING_FEAT_NO_IOWAIT  (1u << 17)
#define IORING_ENTER_NO_IOWAIT (1u << 7)
#endif

/* Entries are used in their order, without a table that says so (Linux 6.6). */
#if !defined(IORING_SETUP_NO_SQARRAY)
#define IORING_SETUP_NO_SQARRAY (1u << 16)
#endif

/* The last came together with watches that stay (Linux 5.13). */
#define NEEDED_FEATURES                                                                            \
	(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS)

/* A descriptor, or -errno. */
static int setup(unsigned entries, struct io_uring_params *p, unsigned cq_entries, uint32_t flags)
{
	*p = (struct io_uring_params){
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | flags,
		.cq_entries = cq_entries,
	};
	return own_fd((int)syscall(SYS_io_uring_setup, entries, p));
}

static int map(struct uring *u, const struct io_uring_params *p)
{
	size_t sq_size = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	u->map_size = sq_size > cq_size ? sq_size : cq_size;
	u->map = mmap(NULL, u->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd,
		      IORING_OFF_SQ_RING);
	if (u->map == MAP_FAILED) {
		u->map = NULL;
		return -errno;
	}
	u->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
	u->sqes = mmap(NULL, u->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd,
		       IORING_OFF_SQES);
	if (u->sqes == MAP_FAILED) {
		u->sqes = NULL;
		return -errno;
	}
	char *base = u->map;
	u->sq_head = (uint32_t *)(base + p->sq_off.head);
	u->sq_tail = (uint32_t *)(base + p->sq_off.tail);
	u->sq_mask = *(uint32_t *)(base + p->sq_off.ring_mask);
	u->sq_entries = p->sq_entries;
	u->cq_head = (uint32_t *)(base + p->cq_off.head);
	u->cq_tail = (uint32_t *)(base + p->cq_off.tail);
	u->cq_mask = *(uint32_t *)(base + p->cq_off.ring_mask);
	u->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	/* Entry number n always lies in slot n: the indirection is not used. */
	uint32_t *array = (uint32_t *)(base + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries && !(p->flags & IORING_SETUP_NO_SQARRAY); i++)
		array[i] = i;
	u->tail = *u->sq_tail;
	u->wait_flags = IORING_ENTER_GETEVENTS;
	if (p->features & IORING_FEAT_NO_IOWAIT)
		u->wait_flags |= IORING_ENTER_NO_IOWAIT;
	return 0;
}

int uring_open(struct uring *ret, unsigned sq_entries, unsigned cq_entries)
{
	/* Newer kernels have more. */
	static const uint32_t flags[] = {QUIET_FLAGS | IORING_SETUP_NO_SQARRAY, QUIET_FLAGS, 0};
	struct io_uring_params p;
	struct uring u = {.fd = -EINVAL};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && u.fd == -EINVAL; i++)
		u.fd = setup(sq_entries, &p, cq_entries, flags[i]);
	if (u.fd < 0)
		return u.fd;
	int r = (p.features & NEEDED_FEATURES) == NEEDED_FEATURES ? map(&u, &p) : -ENOSYS;
	if (r < 0) {
		uring_close(&u);
		return r;
	}
	*ret = u;
	return 0;
}

void uring_close(struct uring *u)
{
	if (u->sqes)
		munmap(u->sqes, u->sqes_size);
	if (u->map)
		munmap(u->map, u->map_size);
	close(u->fd);
}

static uint32_t unsubmitted(const struct uring *u)
{
	return u->tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE);
}

LSC_HOT struct io_uring_sqe *uring_sqe(struct uring *u)
{
	if (unsubmitted(u) >= u->sq_entries)
		uring_enter(u, 0);
	if (unsubmitted(u) >= u->sq_entries)
		return NULL;
	struct io_uring_sqe *sqe = &u->sqes[u->tail++ & u->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

static long enter(struct uring *u, bool wait, uint32_t flags, void *arg, size_t size)
{
	return syscall(SYS_io_uring_enter, u->fd, unsubmitted(u), wait, u->wait_flags | flags, arg,
		       size);
}

static __attribute__((noinline)) long enter_for(struct uring *u, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ns / LSC_NS_PER_S),
				       .tv_nsec = (long long)(timeout_ns % LSC_NS_PER_S)};
	struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&ts};

	return enter(u, true, IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
}

LSC_HOT int uring_enter(struct uring *u, uint64_t timeout_ns)
{
	bool plain = timeout_ns == 0 || timeout_ns == UINT64_MAX;

	__atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
	long r = plain ? enter(u, timeout_ns > 0, 0, NULL, 0) : enter_for(u, timeout_ns);
	return r < 0 ? -errno : 0;
}

#endif
