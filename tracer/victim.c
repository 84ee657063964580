/* SPDX-License-Identifier: MIT */
/*
 * Who waited for a loop that has no ring: sockets and timers. Has the kernel side watch while a
 * loop is in a long tick, and stores the waits that lie in a stall; the others are forgotten.
 */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define WAITS_MAX    1024	   /* kept per loop */
#define KEEP_NS	     5000000000ull /* ... for this long after their end */
#define STALLS_KNOWN 8
#define OVERLAP_NS   1000000ull	 /* of wait and stall, at least */
#define READ_NS	     50000000ull /* a stall is told this much later at most for those it held up */
#define WALK_SHARE   50		 /* walks over sockets take one part in so many of the time */

struct victim {
	struct store_wait row; /* id 0: in no stall that is known */
	bool late;
	char peer[DECODE_PEER], name[DECODE_PEER + 24];
};

struct victims {
	struct victim *waits; /* array, oldest first */
	size_t nwaits, room;
	struct {
		uint64_t begin_ns, end_ns;
	} stalls[STALLS_KNOWN];
	size_t nstalls; /* ever */
};

/* ---- watching ---- */

void victim_watch(struct collector *c, struct loop *l, uint64_t since, uint64_t now)
{
	bool look = now >= c->next_walk_ns;

	if (since <= l->watched_ns)
		return;
	uint64_t cpu = lsc_cpu_ns(); /* by the wall a walk on a crowded host would seem dear */
	if (!l->watched_ns && l->nr == NR_IO_URING_ENTER)
		ledger_stored(c, store_put_unseen(c->store, "sockets that waited",
						  "what is read through io_uring is not seen"));
	l->watched_ns = now;
	/* what came before the tick was not seen by the one before it, which was no stall */
	int r = probe_victims_watch(probe_victims(c->probe), l->target->pid, since - c->o.stall_ns,
				    look);
	if (r < 0 && !c->no_victims) {
		c->no_victims = true;
		ledger_stored(c, store_put_unseen(c->store, "sockets that waited",
						  r == -ENOTSUP
							  ? "the tracepoint sock:sk_data_ready is "
							    "missing: it needs Linux 6.3 or newer"
							  : strerror(-r)));
	}
	if (look)
		c->next_walk_ns = now + (lsc_cpu_ns() - cpu) * WALK_SHARE;
}

void victim_pause(struct collector *c)
{
	probe_victims_pause(probe_victims(c->probe));
}

void victim_end(struct collector *c)
{
	uint64_t unread = probe_victims_end(probe_victims(c->probe));

	if (unread)
		ledger_stored(c, store_add_unresolved(c->store, "wait of a socket",
						      "nothing read it within a second of the "
						      "stall",
						      unread));
}

/* ---- matching ---- */

static uint64_t overlap(const struct store_wait *w, uint64_t begin, uint64_t end)
{
	uint64_t from = w->ready_ns > begin ? w->ready_ns : begin;
	uint64_t to = w->ready_ns + w->wait_ns < end ? w->ready_ns + w->wait_ns : end;

	return to > from ? to - from : 0;
}

static void match(struct collector *c, struct victim *v, uint64_t begin, uint64_t end)
{
	if (v->row.id || overlap(&v->row, begin, end) < OVERLAP_NS ||
	    v->row.ready_ns + c->o.stall_ns < begin)
		return;
	v->row.id = ++c->next_wait;
	v->row.peer = v->peer[0] ? v->peer : NULL;
	v->row.name = v->name[0] ? v->name : NULL;
	ledger_stored_events(c, store_put_wait(c->store, &v->row), 1);
	if (v->late)
		ledger_stored(c, store_add_unresolved(c->store, "arrival at a socket",
						      "it came before sockets were watched: its "
						      "wait counts from then",
						      1));
}

void victim_stall(struct collector *c, struct loop *l, uint64_t begin, uint64_t end)
{
	if (!l->victims && !l->watched_ns)
		return;
	if (!l->victims && !(l->victims = calloc(1, sizeof(*l->victims))))
		return;
	struct victims *all = l->victims;
	size_t at = all->nstalls++ % STALLS_KNOWN;
	all->stalls[at].begin_ns = begin;
	all->stalls[at].end_ns = end;
	for (size_t i = 0; i < all->nwaits; i++)
		match(c, &all->waits[i], begin, end);
}

/* Room for one more: the old are forgotten first. */
static struct victim *push(struct victims *all, uint64_t now)
{
	size_t old = 0;

	if (all->nwaits == all->room) {
		while (old < all->nwaits &&
		       (all->nwaits - old == WAITS_MAX ||
			all->waits[old].row.ready_ns + all->waits[old].row.wait_ns + KEEP_NS < now))
			old++;
		all->nwaits -= old;
		if (old)
			memmove(all->waits, all->waits + old, all->nwaits * sizeof(*all->waits));
	}
	if (all->nwaits == all->room) {
		size_t room = all->room ? all->room * 2 : 32;
		struct victim *grown = realloc(all->waits, room * sizeof(*grown));
		if (!grown)
			return NULL;
		all->waits = grown;
		all->room = room;
	}
	return &all->waits[all->nwaits++];
}

void victim_event(struct collector *c, const struct event_waited *e)
{
	struct loop *l = watch_loop(c, (int)e->e.tid);

	if (!l || l->feed) /* read by a thread that is no loop, or one whose ring tells of tasks */
		return;
	if (!l->victims && !(l->victims = calloc(1, sizeof(*l->victims))))
		return;
	struct victim *v = push(l->victims, e->e.ts_ns);
	if (!v)
		return;
	*v = (struct victim){
		.row = {.loop = l->id,
			.kind = e->kind == WAITED_TIMER ? STORE_WAIT_TIMER : STORE_WAIT_SOCKET,
			.fd = e->kind == WAITED_TIMER ? -1 : e->socket.fd,
			.ready_ns = e->ready_ns,
			.wait_ns = e->e.ts_ns - e->ready_ns},
		.late = e->late,
	};
	if (e->kind == WAITED_DATA)
		decode_peer(&e->socket, v->peer);
	if (e->kind == WAITED_CONNECTION) {
		char address[DECODE_PEER];
		decode_peer(&e->socket, address);
		snprintf(v->name, sizeof(v->name), "connection to %s%s",
			 address[0] ? "listener " : "a listener", address);
	}
	struct victims *all = l->victims;
	for (size_t i = 0; i < STALLS_KNOWN && i < all->nstalls; i++)
		match(c, v, all->stalls[i].begin_ns, all->stalls[i].end_ns);
}

/* ---- for others ---- */

bool victim_is_awaited(const struct collector *c, const struct loop *l, const struct stall *s,
		       uint64_t now)
{
	return c->probe && l->watched_ns >= s->row.start_ns &&
	       now + SETTLE_NS < s->settle_ns + READ_NS &&
	       probe_victims_pending(probe_victims(c->probe));
}

struct feed_victims victim_summary(const struct loop *l, uint64_t begin, uint64_t end)
{
	struct feed_victims sum = {0};

	for (size_t i = 0; l->victims && i < l->victims->nwaits; i++) {
		const struct victim *v = &l->victims->waits[i];
		uint64_t ns = v->row.id ? overlap(&v->row, begin, end) : 0;
		if (ns < OVERLAP_NS)
			continue;
		sum.count[v->row.kind]++;
		sum.sum_ns += ns;
		if (ns > sum.max_ns) {
			sum.max_ns = ns;
			sum.worst = v->peer[0] ? v->peer : v->name[0] ? v->name : NULL;
		}
	}
	return sum;
}

struct victims *victim_free(struct victims *v)
{
	if (!v)
		return NULL;
	free(v->waits);
	free(v);
	return NULL;
}
