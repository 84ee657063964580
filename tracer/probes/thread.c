/* SPDX-License-Identifier: MIT */
/* The kernel side's table of threads, which lies in memory that both sides map, and what hangs on
 * single threads beside it. */
#include "thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cause.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "impl.h"
#include "sched.skel.h"

/* The thread's slot, NULL when it has none. */
static struct thread_state *slot_of(const struct probe *p, int tid)
{
	struct thread_state *t = &p->slots[(__u32)tid % PROBE_SLOTS];

	return __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE) == (__u32)tid ? t : NULL;
}

static int crowd_get(const struct probe *p, int tid, struct thread_state *ret_state)
{
	__u32 key = (__u32)tid;

	if (!p->slots[key % PROBE_SLOTS].crowded)
		return -ENOENT;
	return bpf_map__lookup_elem(p->skel->maps.crowd, &key, sizeof(key), ret_state,
				    sizeof(*ret_state), 0);
}

/* The thread's state where it lies, or, of one in the crowd, a copy in *room. NULL: it has none. */
static const struct thread_state *state_of(const struct probe *p, int tid,
					   struct thread_state *room)
{
	const struct thread_state *t = slot_of(p, tid);

	if (t)
		return t;
	return crowd_get(p, tid, room) == 0 ? room : NULL;
}

/* The epoll set that a thread of pid is met in; several may take turns in it. */
static void note_driver(struct probe *p, int pid, int tid, int fd)
{
	__u64 key = (__u64)(__u32)pid << 32 | (__u32)fd;
	__u32 owner = (__u32)tid, shared = ~0u;

	if (bpf_map__update_elem(p->skel->maps.drivers, &key, sizeof(key), &owner, sizeof(owner),
				 BPF_NOEXIST) == -EEXIST)
		bpf_map__update_elem(p->skel->maps.drivers, &key, sizeof(key), &shared,
				     sizeof(shared), BPF_ANY);
}

bool probe_is_parked(struct probe *p, int pid, const struct thread_state *t)
{
	__u64 key = (__u64)(__u32)pid << 32 | (__u32)t->primary_fd;
	__u32 owner;

	return t->off == OFF_BLOCK && t->nr == NR_FUTEX && t->other == OTHER_NONE &&
	       probe_parks(t, t->sp, (const __u64 *)t->args) &&
	       bpf_map__lookup_elem(p->skel->maps.drivers, &key, sizeof(key), &owner, sizeof(owner),
				    0) == 0 &&
	       owner != t->tid;
}

/* 1 when it was placed, 0 when the kernel side knows the thread already. */
static int place(struct probe *p, int tid, const struct thread_state *t)
{
	__u32 key = (__u32)tid, free_slot = SLOT_FREE;
	struct thread_state *slot = &p->slots[key % PROBE_SLOTS], known;

	if (slot_of(p, tid)) { /* it woke up meanwhile */
		if (t->main)   /* a futex counts */
			slot->main = 1;
		return 0;
	}
	if (crowd_get(p, tid, &known) == 0)
		return 0;
	if (__atomic_compare_exchange_n(&slot->tid, &free_slot, SLOT_TAKEN, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED)) {
		memcpy(&slot->off, &t->off, sizeof(*t) - offsetof(struct thread_state, off));
		__atomic_store_n(&slot->tid, key, __ATOMIC_RELEASE);
		if (crowd_get(p, tid, &known) < 0)
			return 1;
		/* it was switched while the slot was being filled: what is known there is newer */
		__atomic_store_n(&slot->tid, SLOT_FREE, __ATOMIC_RELEASE);
		return 0;
	}
	if (free_slot == key) /* it woke up just now */
		return 0;
	__atomic_store_n(&slot->crowded, 1, __ATOMIC_RELEASE);
	int r = bpf_map__update_elem(p->skel->maps.crowd, &key, sizeof(key), t, sizeof(*t),
				     BPF_NOEXIST);
	if (r == -EEXIST)
		return 0;
	return r < 0 ? r : 1;
}

__u8 probe_seed_confidence(enum wait_class class)
{
	return class == WAIT_EPOLL ? 2 : 1;
}

int probe_seed(struct probe *p, const struct probe_sleeper *s, bool may_futex)
{
	struct thread_state t = {0};
	__u64 call[4] = {s->args[0], s->args[1], s->args[2], s->args[3]};
	int fd = s->nr == NR_FUTEX ? 0 : probe_wait_key(s->nr, s->sp, call);

	t.primary_sp = s->sp;
	t.primary_top = probe_wait_top(s->nr, s->sp, call);
	t.primary_nr = (__u32)s->nr;
	t.primary_fd = fd;
	t.primary_class = (__u8)probe_wait_class(s->nr);
	t.primary_last_ns = s->at_ns;
	t.run_start_ns = s->at_ns;
	t.confidence = probe_seed_confidence(t.primary_class);
	t.main = may_futex;
	t.off = OFF_IDLE;
	t.off_ns = s->at_ns;
	t.off_runtime = s->runtime_ns;
	t.off_delay = s->delay_ns;
	if (t.primary_class == WAIT_EPOLL) { /* who else waits, is seen at the next wait */
		t.anchors = 1;
		t.anchor[0].fd = fd;
	}
	t.site[0] = (struct wait_site){.sp = s->sp,
				       .last_ns = s->at_ns,
				       .nr = (__u32)s->nr,
				       .count = 1,
				       .run = 1,
				       .fd = fd};
	int r = place(p, s->tid, &t);
	if (r == 1 && t.primary_class == WAIT_EPOLL)
		note_driver(p, s->pid, s->tid, fd);
	return r;
}

int probe_add_stack(struct probe *p, int tid)
{
	__u32 key = (__u32)tid;
	lsc_autofree struct stack_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	int r = bpf_map__update_elem(p->skel->maps.stacks, &key, sizeof(key), slot, sizeof(*slot),
				     BPF_NOEXIST);
	return r == -EEXIST ? 0 : r;
}

int probe_set_task_address(struct probe *p, int tid, uint64_t address)
{
	__u32 key = (__u32)tid;
	__u64 value = address;
	int r = bpf_map__update_elem(p->skel->maps.task_addresses, &key, sizeof(key), &value,
				     sizeof(value), BPF_ANY);

	if (r == 0)
		p->skel->bss->have_rings = 1;
	return r;
}

int probe_set_python(struct probe *p, int tid, uint64_t state)
{
	__u32 key = (__u32)tid;
	struct python_thread value = {.state = state};

	return bpf_map__update_elem(p->skel->maps.python_threads, &key, sizeof(key), &value,
				    sizeof(value), BPF_ANY);
}

int probe_set_gil(struct probe *p, int pid, const struct gil_place *place)
{
	__u32 key = (__u32)pid;
	int r = bpf_map__update_elem(p->skel->maps.gils, &key, sizeof(key), place, sizeof(*place),
				     BPF_ANY);

	if (r == 0)
		p->skel->bss->have_gils = 1;
	return r;
}

void probe_drop_gil(struct probe *p, int pid)
{
	__u32 key = (__u32)pid;

	bpf_map__delete_elem(p->skel->maps.gils, &key, sizeof(key), 0);
}

int probe_thread(struct probe *p, int tid, struct thread_state *ret_state)
{
	const struct thread_state *slot = slot_of(p, tid);

	if (!slot)
		return crowd_get(p, tid, ret_state);
	*ret_state = *slot;
	return 0;
}

int probe_stack(struct probe *p, int tid, struct stack_slot *ret_slot)
{
	__u32 key = (__u32)tid;

	return bpf_map__lookup_elem(p->skel->maps.stacks, &key, sizeof(key), ret_slot,
				    sizeof(*ret_slot), 0);
}

int probe_watch_owner(struct probe *p, int tid, const struct owner_watch *w)
{
	__u32 key = (__u32)tid;
	int r = bpf_map__update_elem(p->skel->maps.owners, &key, sizeof(key), w, sizeof(*w),
				     BPF_ANY);

	if (r == 0)
		p->skel->bss->have_owners = 1;
	return r;
}

void probe_drop_owner(struct probe *p, int tid)
{
	__u32 key = (__u32)tid;

	bpf_map__delete_elem(p->skel->maps.owners, &key, sizeof(key), 0);
	if (bpf_map_get_next_key(bpf_map__fd(p->skel->maps.owners), NULL, &key) < 0)
		p->skel->bss->have_owners = 0;
}

void probe_drop_thread(struct probe *p, int tid)
{
	__u32 key = (__u32)tid;
	struct thread_state *slot = slot_of(p, tid), crowded;

	if (slot ? !slot->exited : crowd_get(p, tid, &crowded) == 0 && !crowded.exited)
		return;
	if (slot)
		__atomic_store_n(&slot->tid, SLOT_FREE, __ATOMIC_RELEASE);
	else
		bpf_map__delete_elem(p->skel->maps.crowd, &key, sizeof(key), 0);
	bpf_map__delete_elem(p->skel->maps.stacks, &key, sizeof(key), 0);
	if (p->skel->bss->have_rings)
		bpf_map__delete_elem(p->skel->maps.task_addresses, &key, sizeof(key), 0);
	if (p->skel->bss->have_gils)
		bpf_map__delete_elem(p->skel->maps.python_threads, &key, sizeof(key), 0);
}

uint64_t probe_busy_since(const struct probe *p, int tid, uint64_t *ret_idle_ns)
{
	struct thread_state crowded;
	const struct thread_state *t = state_of(p, tid, &crowded);

	if (ret_idle_ns) {
		uint64_t now = lsc_now_ns(), off = t && t->off == OFF_IDLE ? t->off_ns : now;
		*ret_idle_ns = t ? t->idle_ns + (now > off ? now - off : 0) : 0;
	}
	if (!t || !t->tick_ns || t->off == OFF_IDLE)
		return 0;
	/* Waiting for a CPU is no reason to look closer: it is exact. What runs there instead may
	 * be the collector itself. */
	uint64_t since = t->tick_ns;
	if (t->split_used)
		since += t->split[LSC_CAUSE_RUNQUEUE] + t->split[LSC_CAUSE_THROTTLED];
	if (t->off == OFF_RUNQUEUE)
		since += lsc_now_ns() - t->off_ns;
	return since;
}

uint64_t probe_tick_begin(const struct probe *p, int tid)
{
	struct thread_state crowded;
	const struct thread_state *t = state_of(p, tid, &crowded);

	return t && t->off != OFF_IDLE ? t->tick_ns : 0;
}

uint64_t probe_idle_since(const struct probe *p, int tid)
{
	struct thread_state crowded;
	const struct thread_state *t = state_of(p, tid, &crowded);

	if (t && !t->confidence) /* its loop is over: the next one's first tick rouses */
		return t->primary_last_ns;
	return t && t->off == OFF_IDLE ? t->off_ns : 0;
}

bool probe_is_blocked(const struct probe *p, int tid)
{
	struct thread_state crowded;
	const struct thread_state *t = state_of(p, tid, &crowded);

	return t && t->off == OFF_BLOCK;
}
