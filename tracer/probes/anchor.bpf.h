/* SPDX-License-Identifier: MIT */
/*
 * What a loop waits for: an epoll set, a ring, the descriptors of poll and select. When none of it
 * is open any more the loop is over. Looked at every few ms, as the thread waits, and not in each
 * turn; of poll and select the first few, which are the loop's own (its pipe, its listener).
 */
#ifndef LSC_PROBES_ANCHOR_H
#define LSC_PROBES_ANCHOR_H

#include <bpf/bpf_core_read.h>

#include "fd.bpf.h"
#include "learn.bpf.h"

#define ANCHORED_NS 10000000ull
#define WORD_BITS   64 /* of a set of select the lowest descriptors are looked at */

struct poll_entry { /* struct pollfd */
	__s32 fd;
	__s32 events;
};

/* A ring that the thread has given a number of its own. */
static __always_inline struct file *ring_file(struct task_struct *p, __u32 index)
{
	struct io_uring_task *of;
	struct file *f = NULL;

	if (!bpf_core_field_exists(struct task_struct, io_uring) ||
	    !bpf_core_field_exists(struct io_uring_task, registered_rings))
		return NULL;
	of = kernel_field(struct task_struct, p, io_uring);
	const void *rings = __builtin_preserve_access_index(&of->registered_rings);
	bpf_probe_read_kernel(&f, sizeof(f), rings + (index & 15) * sizeof(f));
	return f;
}

/* Of the current process: what tells the file from a later one with its number, and its memory.
 * 0: it is closed. */
__noinline __u64 anchor_file_id(__s64 fd)
{
	struct task_struct *p = bpf_get_current_task_btf();
	struct file *f = fd < 0 ? ring_file(p, ~fd) : fd_file(p, fd);

	if (!f)
		return 0;
	struct inode *i = kernel_field(struct file, f, f_inode);
	/* read as numbers: a pointer may not be reckoned with (void *: since 7.3) */
	__u64 id = (__u64)BPF_CORE_READ(f, f_op);
	id = id * 31 + (__u64)BPF_CORE_READ(f, private_data);
	id = id * 31 + kernel_field(struct inode, i, i_ino);
	return id | 1;
}

__noinline int anchor_add(struct thread_state *t, __s64 fd)
{
	__u64 id = anchor_file_id(fd);

	if (!t || !id)
		return 0;
	__u64 n = t->anchors;
	if (n >= PROBE_ANCHORS)
		return 0;
	t->anchor[n].fd = fd;
	t->anchor[n].id = id;
	t->anchors = n + 1;
	return 0;
}

static __always_inline void anchor_poll(struct thread_state *t, __u64 array, __u64 n)
{
	struct poll_entry set[PROBE_ANCHORS];
	__u64 size = (n < PROBE_ANCHORS ? n : PROBE_ANCHORS) * sizeof(set[0]);

	__builtin_memset(set, 0xff, sizeof(set));
	if (bpf_probe_read_user(set, size, (void *)array))
		return;
	for (int i = 0; i < PROBE_ANCHORS; i++)
		if (set[i].fd >= 0)
			anchor_add(t, set[i].fd);
}

static __always_inline void anchor_select(struct thread_state *t, __u64 array, __u64 n)
{
	__u64 set = 0;

	if (!array || bpf_probe_read_user(&set, sizeof(set), (void *)array))
		return;
	if (n < WORD_BITS)
		set &= (1ull << n) - 1;
	for (int fd = 0; fd < WORD_BITS; fd++)
		if (set >> fd & 1)
			anchor_add(t, fd);
}

/* The current thread is in its primary wait, with these arguments. */
__noinline int anchor_take(struct thread_state *t, __u64 first, __u64 second, __u64 now)
{
	if (!t)
		return 0;
	t->anchored_ns = now;
	t->anchors = 0;
	if (t->primary_class == WAIT_EPOLL)
		anchor_add(t, t->primary_fd);
	else if (t->primary_nr == NR_POLL || t->primary_nr == NR_PPOLL)
		anchor_poll(t, first, second);
	else if (t->primary_class == WAIT_POLL)
		anchor_select(t, second, first);
	return 0;
}

static __always_inline void anchor_keep(struct thread_state *t, __u64 first, __u64 second,
					__u64 now)
{
	if (now - t->anchored_ns > ANCHORED_NS)
		anchor_take(t, first, second, now);
}

/* The current thread has closed all that its loop waits for. */
__noinline int anchor_is_gone(struct thread_state *t)
{
	if (!t || !t->anchors)
		return 0;
	for (int i = 0; i < PROBE_ANCHORS && i < t->anchors; i++) {
		__u64 id = anchor_file_id(t->anchor[i].fd);
		if (id && (id == t->anchor[i].id || !t->anchor[i].id))
			return 0;
	}
	return 1;
}

static __always_inline bool has_left(struct thread_state *t)
{
	return t && t->confidence && anchor_is_gone(t);
}

#endif
