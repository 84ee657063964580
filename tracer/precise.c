/* SPDX-License-Identifier: MIT */
/* When the precise mode is armed, and the record of it. */
#include "state.h"

#include "base/clock.h"

#define PRECISE_HOLD_NS 1000000000ull

void precise_note(struct collector *c, uint64_t now)
{
	if (!c->armed_ns)
		return;
	struct store_mode_span span = {.loop = c->armed_loop,
				       .from_ns = c->armed_ns,
				       .to_ns = now,
				       .mode = STORE_MODE_PRECISE};
	ledger_stored(c, store_put_mode(c->store, &span));
}

/* Arms while some loop is in a tick longer than half the threshold, and for a while after. */
void precise_steer(struct collector *c, uint64_t now)
{
	if (!c->probe)
		return;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		uint64_t since = l->kernel && !l->feed ? probe_busy_since(c->probe, l->tid) : 0;
		if (!since || now < since + c->o.stall_ns / 2 || !watch_loop_reports(c, l))
			continue;
		c->wanted_ns = now;
		if (!c->armed_ns && probe_arm(c->probe) == 0) {
			c->armed_ns = now;
			c->armed_loop = l->id;
		}
	}
	if (c->armed_ns && now > c->wanted_ns + PRECISE_HOLD_NS) {
		probe_disarm(c->probe);
		precise_note(c, now);
		c->armed_ns = 0;
	}
}
