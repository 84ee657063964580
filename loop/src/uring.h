/* SPDX-License-Identifier: MIT */
/* The two rings of io_uring and its system calls; knows no operations of ours. */
#ifndef LSC_LOOP_URING_H
#define LSC_LOOP_URING_H

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>

struct uring {
	int fd;
	void *map; /* of both rings */
	size_t map_size;
	struct io_uring_sqe *sqes;
	size_t sqes_size;
	uint32_t *sq_head; /* the kernel's */
	uint32_t *sq_tail;
	uint32_t sq_mask;
	uint32_t sq_entries;
	uint32_t tail; /* of what is filled in */
	uint32_t *cq_head;
	uint32_t *cq_tail; /* the kernel's */
	uint32_t cq_mask;
	struct io_uring_cqe *cqes;
	uint32_t wait_flags; /* of io_uring_enter(2) */
};

/* 0, or -errno: -ENOSYS, -EPERM, ... where io_uring is absent, refused or too old (5.13). */
int uring_open(struct uring *ret, unsigned sq_entries, unsigned cq_entries);
void uring_close(struct uring *u);

/* Submits what is filled in, and waits for a completion, for timeout_ns at most (UINT64_MAX: for
 * ever; 0: not at all). 0 or -errno. */
int uring_enter(struct uring *u, uint64_t timeout_ns);

/* An empty entry to fill in, which the next uring_enter() submits; NULL when none can be had now.
 */
struct io_uring_sqe *uring_sqe(struct uring *u);

/* Completions that are there. */
static inline unsigned uring_completed(const struct uring *u)
{
	return __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE) - *u->cq_head;
}

/* Number i of them, which stays. */
static inline const struct io_uring_cqe *uring_peek(const struct uring *u, unsigned i)
{
	return &u->cqes[(*u->cq_head + i) & u->cq_mask];
}

/* Takes one of them. */
static inline void uring_take(struct uring *u, struct io_uring_cqe *ret)
{
	uint32_t head = *u->cq_head;

	*ret = u->cqes[head & u->cq_mask];
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
}

#endif
