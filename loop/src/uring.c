/* SPDX-License-Identifier: MIT */
/* io_uring by its bare system calls: io_uring_setup(2), io_uring_enter(2). */
#include "backend.h"

#ifdef LSC_HAVE_URING

#include "uring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "own_fd.h"

/* Completions are made by the thread that waits for them, and by nobody else (Linux 6.1). */
#if defined(IORING_SETUP_DEFER_TASKRUN) && defined(IORING_SETUP_SINGLE_ISSUER)
#define QUIET_FLAGS (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
#else
#define QUIET_FLAGS 0u
#endif

#define NEEDED_FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG)

static int setup(unsigned entries, struct io_uring_params *p, unsigned cq_entries, uint32_t flags)
{
	*p = (struct io_uring_params){
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | flags,
		.cq_entries = cq_entries,
	};
	int fd = own_fd((int)syscall(SYS_io_uring_setup, entries, p));

	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
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
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
	u->tail = *u->sq_tail;
	return 0;
}

int uring_open(struct uring *ret, unsigned sq_entries, unsigned cq_entries)
{
	struct io_uring_params p;
	struct uring u = {.fd = setup(sq_entries, &p, cq_entries, QUIET_FLAGS)};

	if (u.fd < 0 && errno == EINVAL)
		u.fd = setup(sq_entries, &p, cq_entries, 0);
	if (u.fd < 0)
		return -errno;
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

struct io_uring_sqe *uring_sqe(struct uring *u)
{
	if (unsubmitted(u) >= u->sq_entries)
		uring_enter(u, 0);
	if (unsubmitted(u) >= u->sq_entries)
		return NULL;
	struct io_uring_sqe *sqe = &u->sqes[u->tail++ & u->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

int uring_enter(struct uring *u, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ns / LSC_NS_PER_S),
				       .tv_nsec = (long long)(timeout_ns % LSC_NS_PER_S)};
	struct io_uring_getevents_arg arg = {
		.sigmask_sz = _NSIG / 8,
		.ts = timeout_ns == UINT64_MAX ? 0 : (uint64_t)(uintptr_t)&ts,
	};

	__atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
	long r = syscall(SYS_io_uring_enter, u->fd, unsubmitted(u), timeout_ns > 0,
			 IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	return r < 0 ? -errno : 0;
}

#endif
