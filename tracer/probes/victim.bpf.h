/* SPDX-License-Identifier: MIT */
/*
 * Who waits for a loop in a long tick: sockets whose data came meanwhile, connections that were not
 * accepted, and the timer that the primary wait was meant to wake for. Nothing here runs while all
 * loops are healthy: user space attaches on_arrival and walks the sockets of the process with
 * on_socket when a loop has been busy for half the threshold, as it arms sys_exit, which sees the
 * reading.
 */
#ifndef LSC_PROBES_VICTIM_H
#define LSC_PROBES_VICTIM_H

#include "fd.bpf.h"
#include "maps.bpf.h"

#define NR_READ	    0
#define NR_READV    19
#define NR_ACCEPT   43
#define NR_RECVFROM 45
#define NR_RECVMSG  47
#define NR_ACCEPT4  288
#define NR_RECVMMSG 299

#define EINTR	     4
#define EAGAIN	     11
#define TCP_LISTEN   10 /* also of Unix sockets */
#define PROTO_TCP    6
#define TIMEOUT_NONE (~0ull)
#define VICTIM_LEAST 1000000ull /* ns; who waited less is not told */

/* When connections arrived. They are accepted in that order, by whomever: those still queued are
 * the newest. */
struct victim_arrivals {
	__u64 count; /* ever */
	__u64 late;  /* so many of the first came before the listener was watched, nobody knows when
		      */
	__u64 ns[PROBE_ARRIVALS];
};

__u32 victims_stamped; /* some loop is in a long tick: arrivals count. Written by user space */
__u64 victims_since;   /* what was there before is not the tick's victim. Written by user space */
__s64 victims_pending; /* stamped and not yet read */

struct { /* the sockets of targets that had a long tick lately, by address */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_SOCKETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct victim_socket);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct victim_arrivals);
} listeners SEC(".maps");

struct { /* the zero value of a listener: too large for the BPF stack */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct victim_arrivals);
} no_arrivals SEC(".maps");

static __always_inline void victim_stamp(struct victim_socket *v, __u64 ns, bool late)
{
	if (v->ready_ns)
		return;
	v->late = late;
	v->ready_ns = ns;
	__sync_fetch_and_add(&victims_pending, 1);
}

static __always_inline void victim_arrived(__u64 listener, __u64 ns)
{
	struct victim_arrivals *a = bpf_map_lookup_elem(&listeners, &listener);

	if (!a)
		return;
	a->ns[__sync_fetch_and_add(&a->count, 1) & (PROBE_ARRIVALS - 1)] = ns;
	__sync_fetch_and_add(&victims_pending, 1);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(on_arrival, const struct sock *sk)
{
	__u64 key = (__u64)sk;

	/* at listeners always: the place in the queue tells which connection is accepted */
	if (!victims_stamped && sk->__sk_common.skc_state != TCP_LISTEN)
		return 0;
	struct victim_socket *v = bpf_map_lookup_elem(&sockets, &key);
	if (!v)
		return 0;
	if (v->listens)
		victim_arrived(key, bpf_ktime_get_ns());
	else
		victim_stamp(v, bpf_ktime_get_ns(), false);
	return 0;
}

/* ---- what was there already ---- */

/* Of TCP, when the last segment came: what is unread came then or before. A sender's own clock and
 * the ACK timer (40 ms) move it too, always to a later time. */
static __always_inline __u64 tcp_last_ns(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, tcp_mstamp) * 1000;
}

static __always_inline void victim_describe(struct victim_socket *v, const struct sock *sk,
					    __s32 fd)
{
	__u16 family = sk->__sk_common.skc_family;

	v->socket.family = family;
	v->socket.fd = fd;
	v->listens = sk->__sk_common.skc_state == TCP_LISTEN;
	v->socket.port_be =
		v->listens ? __builtin_bswap16(sk->__sk_common.skc_num) : sk->__sk_common.skc_dport;
	if (family == AF_INET6 && v->listens)
		BPF_CORE_READ_INTO(&v->socket.address, sk,
				   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	else if (family == AF_INET6)
		BPF_CORE_READ_INTO(&v->socket.address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	else if (family == AF_INET)
		*(__u32 *)v->socket.address =
			v->listens ? sk->__sk_common.skc_rcv_saddr : sk->__sk_common.skc_daddr;
}

/* How many connections wait to be accepted. */
static __always_inline __u64 victim_queued(const struct sock *sk, __u16 family)
{
	return family == AF_UNIX ? BPF_CORE_READ(sk, sk_receive_queue.qlen)
				 : BPF_CORE_READ(sk, sk_ack_backlog);
}

/* Those in a Unix listener do not say since when: from now on at least. One that comes meanwhile
 * may be numbered twice, which misleads nobody, as they are counted from the newest. */
static __always_inline void victim_queue_unix(const struct sock *sk, __u64 key, __u64 now)
{
	struct victim_arrivals *a = bpf_map_lookup_elem(&listeners, &key);
	__u64 queued = victim_queued(sk, AF_UNIX);

	for (int i = 0; i < PROBE_ARRIVALS && i < queued; i++)
		victim_arrived(key, now);
	if (a)
		a->late = a->count;
}

/* The connections that wait in a listener that was not watched until `now`. */
static __always_inline void victim_queue(const struct sock *sk, __u64 key, bool tcp, __u64 now)
{
	__u32 zero = 0;
	struct victim_arrivals *none = bpf_map_lookup_elem(&no_arrivals, &zero);

	if (!none || bpf_map_update_elem(&listeners, &key, none, BPF_NOEXIST)) {
		count(COUNT_SOCKETS_FULL);
		return;
	}
	if (sk->__sk_common.skc_family == AF_UNIX)
		victim_queue_unix(sk, key, now);
	if (!tcp)
		return;
	const struct inet_connection_sock *csk = (const struct inet_connection_sock *)sk;
	struct request_sock *r = BPF_CORE_READ(csk, icsk_accept_queue.rskq_accept_head);
	for (int i = 0; i < PROBE_ARRIVALS && r; i++) {
		__u64 came = tcp_last_ns(BPF_CORE_READ(r, sk));
		if (came > now)
			return; /* on_arrival has it */
		victim_arrived(key, came);
		r = BPF_CORE_READ(r, dl_next);
	}
}

/* Each open file of a process in which a loop is in a long tick. */
SEC("iter/task_file")
int on_socket(struct bpf_iter__task_file *ctx)
{
	struct file *f = ctx->file;
	struct socket *so = f ? bpf_sock_from_file(f) : NULL;

	if (!so)
		return 0;
	struct sock *sk = so->sk;
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns(), ino = f->f_inode->i_ino;
	if (!sk)
		return 0;
	bool tcp = sk->sk_protocol == PROTO_TCP;
	struct victim_socket *v = bpf_map_lookup_elem(&sockets, &key);
	if (!v || v->ino != ino) {
		struct victim_socket fresh = {.ino = ino};
		victim_describe(&fresh, sk, ctx->fd);
		/* known first, looked at then: what comes between is seen by one of the two */
		if (bpf_map_update_elem(&sockets, &key, &fresh, BPF_ANY)) {
			count(COUNT_SOCKETS_FULL);
			return 0;
		}
		if (fresh.listens)
			victim_queue(sk, key, tcp, now);
		v = bpf_map_lookup_elem(&sockets, &key);
	}
	if (!v || v->listens || v->ready_ns || !sk->sk_receive_queue.qlen)
		return 0;
	__u64 came = tcp ? tcp_last_ns(sk) : now;
	if (came >= victims_since)
		victim_stamp(v, came, !tcp);
	return 0;
}

/* ---- attended to ---- */

static __always_inline void victim_emit(int kind, __u64 id, __u64 ready, __u64 now,
					const struct victim_socket *v, bool late, __s32 fd)
{
	struct event_waited *e;

	count(COUNT_EMITTED);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->e.kind = EVENT_WAITED;
	e->e.size = sizeof(*e);
	e->e.ts_ns = now;
	e->e.tgid = id >> 32;
	e->e.tid = id;
	e->ready_ns = ready;
	e->kind = kind;
	if (v)
		e->socket = v->socket;
	e->late = late;
	e->socket.fd = fd;
	bpf_ringbuf_submit(e, wakeup_flags());
}

/* The connection that was accepted just now is the one before those that are still queued. */
static __always_inline __u64 victim_accepted(const struct sock *sk, __u64 key, __u16 family,
					     bool *ret_late)
{
	struct victim_arrivals *a = bpf_map_lookup_elem(&listeners, &key);
	__u64 queued = victim_queued(sk, family);

	if (!a || queued >= PROBE_ARRIVALS || queued >= a->count)
		return 0;
	__u64 at = a->count - queued - 1, *ns = &a->ns[at & (PROBE_ARRIVALS - 1)], ready = *ns;
	*ret_late = at < a->late;
	*ns = 0;
	if (ready)
		__sync_fetch_and_add(&victims_pending, -1);
	return ready;
}

static __always_inline bool victim_is_read(__s64 nr)
{
	switch (nr) {
	case NR_READ:
	case NR_READV:
	case NR_ACCEPT:
	case NR_RECVFROM:
	case NR_RECVMSG:
	case NR_ACCEPT4:
	case NR_RECVMMSG:
		return true;
	}
	return false;
}

/* Some call that reads or accepts returns, while something is pending. */
static __noinline int victim_read(struct pt_regs *regs, long ret)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (ret == -EAGAIN || ret == -EINTR || !is_target(id >> 32))
		return 0;
	__s32 fd = regs->di;
	struct file *f = fd_file(bpf_get_current_task_btf(), fd);
	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & 0170000) != 0140000)
		return 0;
	struct socket *so = BPF_CORE_READ(f, private_data);
	struct sock *sk = BPF_CORE_READ(so, sk);
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();
	struct victim_socket *v = bpf_map_lookup_elem(&sockets, &key);
	if (!v)
		return 0;
	if (v->ino != BPF_CORE_READ(f, f_inode, i_ino)) { /* another socket at its address */
		bpf_map_delete_elem(&sockets, &key);
		return 0;
	}
	__u64 ready = v->ready_ns;
	bool late = v->late;
	if (v->listens) {
		ready = victim_accepted(sk, key, v->socket.family, &late);
	} else if (ready) {
		v->ready_ns = 0;
		__sync_fetch_and_add(&victims_pending, -1);
	}
	if (ready && now >= ready + VICTIM_LEAST)
		victim_emit(v->listens ? WAITED_CONNECTION : WAITED_DATA, id, ready, now, v, late,
			    fd);
	return 0;
}

/* ---- timers ---- */

/* The timeout that a wait asks for, TIMEOUT_NONE when it has none or cannot be told. */
static __always_inline __u64 victim_timeout(__s64 nr, const struct pt_regs *r)
{
	__s64 unit = 1, t[2];
	__s32 ms;

	switch (nr) {
	case NR_EPOLL_WAIT:
	case NR_EPOLL_PWAIT:
		ms = r->r10;
		break;
	case NR_POLL:
		ms = r->dx;
		break;
	case NR_EPOLL_PWAIT2:
	case NR_PPOLL:
	case NR_PSELECT6:
	case NR_SELECT: {
		const void *at = (const void *)(nr == NR_PPOLL		? r->dx
						: nr == NR_EPOLL_PWAIT2 ? r->r10
									: r->r8);
		if (!at || bpf_probe_read_user(t, sizeof(t), at) || t[0] < 0 || t[0] >> 32)
			return TIMEOUT_NONE;
		unit = nr == NR_SELECT ? 1000 : 1;
		return (__u64)t[0] * 1000000000ull + (__u64)(t[1] * unit);
	}
	default:
		return TIMEOUT_NONE;
	}
	return ms < 0 ? TIMEOUT_NONE : (__u64)ms * 1000000ull;
}

/* When the wait that begins now would wake by itself, 0 never. */
static __always_inline __u64 victim_due(__s64 nr, const struct pt_regs *r, __u64 now)
{
	__u64 timeout = victim_timeout(nr, r);

	return timeout == TIMEOUT_NONE ? 0 : now + timeout;
}

/* The tick ends with a wait that returned at once. The wait before it was to wake at due_ns, and
 * the tick was running then; that this one asked for no time at all says that the timer was still
 * wanted, and not cancelled or run within the tick. */
static __always_inline void victim_timer(const struct thread_state *t, __u64 id,
					 const struct pt_regs *r, __u64 now)
{
	if (!t->tick_ns || t->due_ns <= t->tick_ns || now < t->tick_ns + stall_ns ||
	    now < t->due_ns + VICTIM_LEAST)
		return;
	if (victim_timeout((__s32)r->orig_ax, r) == 0)
		victim_emit(WAITED_TIMER, id, t->due_ns, now, NULL, false, -1);
}

#endif
