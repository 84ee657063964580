/* SPDX-License-Identifier: MIT */
/*
 * The few kernel fields that the probes read, relocated at load time against the running kernel's
 * BTF (preserve_access_index): nothing else of a structure is declared, and no vmlinux.h is needed.
 */
#ifndef LSC_PROBES_KERNEL_H
#define LSC_PROBES_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};

struct rq {
	__u64 clock; /* of the scheduler, ns; brought up to date right before a switch */
	__u64 clock_pelt;
	int cpu;
};

struct cfs_rq {
	struct rq *rq; /* with CONFIG_FAIR_GROUP_SCHED, which distributions have */
	int throttle_count;
	__u64 throttled_clock_self, throttled_clock_self_time;
	__u64 throttled_clock_pelt, throttled_clock_pelt_time;
};

struct sched_entity {
	unsigned char sched_delayed; /* 6.12+: sleeps, but has not left the run queue yet */
	__u64 sum_exec_runtime, nr_migrations;
	struct cfs_rq *cfs_rq;
};

struct sched_info { /* times of rq->clock */
	unsigned long long run_delay;
	unsigned long long last_queued; /* 0: not in a run queue */
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
};

struct file {
	const void *f_op;
	void *private_data;
	struct inode *f_inode;
};

struct fdtable {
	struct file **fd;
	unsigned int max_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sk_buff_head {
	__u32 qlen;
};

struct pid {
	struct upid {
		int nr;
	} numbers[1];
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	__u32 sk_ack_backlog;
	__u16 sk_protocol;
	struct pid *sk_peer_pid;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct request_sock {
	struct request_sock *dl_next;
	struct sock *sk;
};

struct request_sock_queue {
	struct request_sock *rskq_accept_head;
};

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
};

struct tcp_sock {
	__u64 tcp_mstamp; /* us of ktime_get_ns() */
};

struct socket {
	struct sock *sk;
};

struct mm_struct {
	unsigned long start_stack; /* of the first thread, at its start: above lie its arguments */
};

struct thread_struct {
	unsigned long fsbase; /* glibc: the thread's block, at the upper end of its stack */
};

struct io_uring_task {
	struct file *registered_rings[16]; /* since 5.18 */
};

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
};

struct signal_struct {
	struct {
		int counter;
	} live; /* threads that have not ended */
	struct sigpending shared_pending;
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	unsigned int on_cpu; /* a byte since 7.3 */
	unsigned long jobctl;
	bool throttled; /* since 6.18 */
	int exit_code;
	unsigned long nvcsw, nivcsw;
	char comm[16];
	struct task_struct *real_parent;
	struct files_struct *files;
	struct io_uring_task *io_uring;
	struct sched_entity se;
	struct sched_info sched_info;
	struct mm_struct *mm;
	struct signal_struct *signal;
	sigset_t blocked;
	struct sigpending pending;
	const void *task_works; /* what it is to do in the kernel before it goes on */
	struct thread_struct thread;
};

struct bpf_perf_event_data {
	struct pt_regs regs;
};

struct bpf_iter__task_file {
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* p as a pointer to the kernel's type of that id, whose fields can be loaded as they are, as those
 * of a hook's arguments can; since 6.2. */
extern void *bpf_rdonly_cast(const void *p, unsigned int type)
	__attribute__((section(".ksyms"), weak));

/* The field of *p, where p is known to be no more than an address: one load, or where the kernel
 * does not let it be that a call, which costs a hundred times as much. 0 where there is nothing. */
#define kernel_field(type, p, field)                                                               \
	({                                                                                         \
		typeof(((type *)0)->field) value_;                                                 \
		type *typed_ = (type *)(p);                                                        \
		if (bpf_rdonly_cast) {                                                             \
			typed_ = bpf_rdonly_cast(p, bpf_core_type_id_kernel(type));                \
			value_ = typed_->field;                                                    \
		} else {                                                                           \
			value_ = BPF_CORE_READ(typed_, field);                                     \
		}                                                                                  \
		value_;                                                                            \
	})

#endif
