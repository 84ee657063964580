/* SPDX-License-Identifier: MIT */
/*
 * When is looked closer: the sampler samples more often, and the precise mode is armed, of which
 * this keeps the record. Both are wanted while some loop is in a tick longer than half the
 * threshold, and kept for HOLD_NS after, for the next long tick of a busy loop should be met at
 * its begin; where the loop rests again, for as long as the tick was, for then a sleep tells where
 * a tick begins. A loop that is simply saturated would want the precise mode for ever, at the
 * expense of every system call of the host: it gets glances, which last until one of its ticks has
 * ended, and pauses in between, whose ticks cannot be told apart and lower the coverage. A glance
 * costs the host what some 2 ms of the precise mode do, for the arming itself, however short it is.
 */
#include "state.h"

#include "base/clock.h"

#define HOLD_NS	      (200 * LSC_NS_PER_MS)
#define REST_NS	      (50 * LSC_NS_PER_MS) /* held so long at least: what waited is served */
#define REST_DIV      4 /* a loop rests when it idles for more than a fourth of the time */
#define SPAN_NS	      (500 * LSC_NS_PER_MS) /* a loop that asks for longer is judged anew */
#define GLANCE_MIN_NS (2 * LSC_NS_PER_MS)   /* it costs as much at least */
#define GLANCE_MAX_NS (20 * LSC_NS_PER_MS)
#define GLANCE_DIV    5			  /* nor is more than five for each threshold of use */
#define GLIMPSE_NS    (LSC_NS_PER_MS / 4) /* after which it is looked first whether one is over */
#define PAUSE_MUL     31		  /* a glance for each 32nd of the time */
#define SATURATED_DIV 10		  /* idle for less than a tenth of the time */
#define SOON_NS	      (100 * LSC_NS_PER_MS)
#define OFTEN_NS      LSC_NS_PER_S /* loops that never sleep are met by the sampler */

void precise_note(struct collector *c, uint64_t now)
{
	if (!c->armed_ns || probe_is_exact(c->probe))
		return;
	if (now - c->armed_ns < c->o.stall_ns / 2)
		return; /* a glance in which no stall can have been */
	struct store_mode_span span = {.loop = c->armed_loop,
				       .from_ns = c->armed_ns,
				       .to_ns = now,
				       .mode = STORE_MODE_PRECISE};
	ledger_stored(c, store_put_mode(c->store, &span));
}

/* What of the precise mode costs as much as a glance did that lasted for so long. */
static uint64_t glance_cost_ns(const struct collector *c, uint64_t ns)
{
	uint64_t least = c->o.stall_ns / GLANCE_DIV;

	if (least < GLANCE_MIN_NS)
		least = GLANCE_MIN_NS;
	if (ns < least)
		ns = least;
	return ns < GLANCE_MAX_NS ? ns : GLANCE_MAX_NS;
}

static void begin_pause(const struct collector *c, struct loop *l, uint64_t glance_ns, uint64_t now)
{
	struct precise_turn *p = &l->precise;

	p->turn_ns -= p->turn_ns / 4;
	if (p->turn_ns < 2 * glance_ns) /* it began somewhere in the turn */
		p->turn_ns = 2 * glance_ns;
	if (p->turn_ns < GLANCE_MIN_NS)
		p->turn_ns = GLANCE_MIN_NS;
	p->glance_ns = 0;
	p->paused_ns = now;
	p->pause_ns = PAUSE_MUL * glance_cost_ns(c, glance_ns);
}

/* From now on it is looked at who asks, stalls and sleeps. */
static void begin_span(struct collector *c, uint64_t now)
{
	c->span_ns = now;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		if (l->precise.saturated)
			continue;
		l->precise.asked = false;
		l->precise.stalls = l->stall_count;
		probe_busy_since(c->probe, l->tid, &l->precise.idle_ns);
	}
}

static void arm(struct collector *c, const struct loop *first, uint64_t now)
{
	if (probe_arm(c->probe) < 0)
		return;
	c->armed_ns = now;
	c->armed_loop = first->id;
	begin_span(c, now);
}

static void disarm(struct collector *c, uint64_t now)
{
	probe_disarm(c->probe);
	victim_end(c);
	precise_note(c, now);
	c->armed_ns = 0;
	c->disarmed_ns = now;
}

/* It asked throughout the last span, in which it hardly slept and nothing stalled, and asks again.
 */
static bool is_saturated(const struct collector *c, const struct loop *l, uint64_t idle_ns,
			 uint64_t now)
{
	return l->precise.asked &&
	       (c->armed_ns || now < c->disarmed_ns + SOON_NS + c->o.stall_ns) &&
	       l->stall_count == l->precise.stalls && !l->stalls &&
	       (idle_ns - l->precise.idle_ns) * SATURATED_DIV < now - c->span_ns;
}

/* What follows a long stall is met at its begin, and noticed within a threshold from there. What a
 * stall costs the host stays in proportion to it. */
static uint64_t rest_after(const struct collector *c, uint64_t tick_ns)
{
	uint64_t ns = tick_ns + c->o.stall_ns;

	if (ns < REST_NS)
		ns = REST_NS;
	return ns < HOLD_NS ? ns : HOLD_NS;
}

/* The loop is in a tick since then, and is looked at closer. */
static void hold(struct hold *h, const struct collector *c, const struct loop *l, uint64_t since,
		 uint64_t now)
{
	uint64_t until_ns = now + (l->precise.saturated ? GLANCE_MAX_NS : HOLD_NS);
	uint64_t rest_ns = now + rest_after(c, now - since);

	h->last_ns = now;
	if (until_ns > h->until_ns)
		h->until_ns = until_ns;
	if (rest_ns > h->rest_ns)
		h->rest_ns = rest_ns;
}

/* A glance begins. Nothing but ends of ticks is looked at. */
static void begin_glance(struct collector *c, struct loop *l, uint64_t now)
{
	if (!c->armed_ns)
		arm(c, l, now);
	if (c->armed_ns)
		l->precise.glance_ns = lsc_now_ns();
}

/* Whether it goes on. One that has shown no end of a tick for a whole threshold is none any more:
 * that tick is looked at like any other. */
static bool is_glance(struct collector *c, struct loop *l, uint64_t now)
{
	struct precise_turn *p = &l->precise;
	uint64_t since = probe_busy_since(c->probe, l->tid, NULL);
	uint64_t tick_ns = probe_tick_begin(c->probe, l->tid), lasts, next;

	if (!p->glance_ns)
		return false;
	lasts = now > p->glance_ns ? now - p->glance_ns : 0;
	if (!c->armed_ns || !tick_ns || tick_ns >= p->glance_ns) {
		begin_pause(c, l, lasts, now);
		return false;
	}
	if (lasts > c->o.stall_ns && now > since + c->o.stall_ns) {
		p->glance_ns = 0;
		p->saturated = false;
		return false;
	}
	if (lasts > c->o.stall_ns / 2) {
		hold(&c->sampled, c, l, since, now);
		probe_sample(c->probe, true);
	}
	next = now + (lasts > GLIMPSE_NS ? lasts : GLIMPSE_NS);
	c->held_at_ns = next < c->held_at_ns ? next : c->held_at_ns;
	return true;
}

/* It has been watched in one tick for a threshold, which is to be told. */
static bool is_in_a_long_one(const struct collector *c, uint64_t since, uint64_t now)
{
	uint64_t watched_ns = since > c->armed_ns ? since : c->armed_ns;

	return c->armed_ns && now > watched_ns + c->o.stall_ns;
}

/* A loop with pauses is not saturated any more: it has slept for a tenth of the time, of more time
 * than a single short sleep is a tenth of. */
static bool has_slept(struct precise_turn *p, uint64_t idle_ns, uint64_t now)
{
	uint64_t passed = now - p->judged_ns;
	bool slept = (idle_ns - p->idle_ns) * SATURATED_DIV > (passed > HOLD_NS ? passed : HOLD_NS);

	if (passed > SPAN_NS) {
		p->judged_ns = now;
		p->idle_ns = idle_ns;
	}
	return slept;
}

/* The loop has been busy since then, for half the threshold: may it have the precise mode? */
static bool is_granted(struct collector *c, struct loop *l, uint64_t since, uint64_t idle_ns,
		       uint64_t now)
{
	struct precise_turn *p = &l->precise;

	if (probe_is_exact(c->probe))
		return true;
	if (p->paused_ns) {
		bool slept = has_slept(p, idle_ns, now);
		if (!slept && now < p->paused_ns + p->pause_ns)
			return false;
		p->paused_ns = 0;
		p->saturated = !slept;
		if (slept)
			p->turn_ns = 0;
	}
	if (is_in_a_long_one(c, since, now))
		return true;
	if (p->saturated) {
		begin_glance(c, l, now);
		return false;
	}
	if (c->armed_ns && now < c->span_ns + SPAN_NS)
		return true;
	if (!is_saturated(c, l, idle_ns, now)) {
		p->turn_ns = 0;
		if (c->armed_ns)
			begin_span(c, now);
		return true;
	}
	p->saturated = true;
	p->judged_ns = now;
	p->idle_ns = idle_ns;
	begin_pause(c, l, 0, now);
	if (!c->paused)
		ledger_stored(c,
			      store_put_unseen(c->store, "each tick of a saturated loop",
					       "it never sleeps, so its ticks are told apart only "
					       "now and then, to spare the host"));
	c->paused = true;
	return false;
}

/* Each loop that asked has slept in its wait for a good part of the time since. */
static bool all_rest(const struct collector *c, uint64_t now)
{
	for (const struct loop *l = c->loops; l; l = l->hh.next) {
		const struct precise_turn *p = &l->precise;
		uint64_t idle_ns;

		if (!p->wanted_ns)
			continue;
		probe_busy_since(c->probe, l->tid, &idle_ns);
		if ((idle_ns - p->wanted_idle_ns) * REST_DIV < now - p->wanted_ns)
			return false;
	}
	return true;
}

/* Nothing more is to be learned from what was wanted for a held loop, for so long after. */
static bool is_over(const struct collector *c, const struct hold *h, uint64_t now)
{
	return now > h->until_ns || (now > h->rest_ns && all_rest(c, now));
}

/* A loop without a ring has been held since then. Whether it is looked closer: in a pause only who
 * ends a block is. */
static bool look_closer(struct collector *c, struct loop *l, uint64_t since, uint64_t idle_ns,
			uint64_t now)
{
	bool granted = is_granted(c, l, since, idle_ns, now);

	l->precise.wanted_ns = now;
	l->precise.wanted_idle_ns = idle_ns;
	if (granted) {
		if (!c->armed_ns)
			arm(c, l, now);
		hold(&c->armed, c, l, since, now);
		l->precise.asked = true;
		if (c->host.at_ns < since)
			host_look(&c->host);
	}
	/* wakers are unknown without */
	if ((granted || probe_is_blocked(c->probe, l->tid)) && probe_arm_waking(c->probe) == 0)
		hold(&c->waking, c, l, since, now);
	if (c->armed_ns && granted)
		victim_watch(c, l, since, now);
	return granted;
}

static void disarm_what_is_over(struct collector *c, bool glances, uint64_t now)
{
	if (c->armed_ns && c->armed.last_ns != now)
		victim_pause(c);
	if (c->armed_ns && !glances && is_over(c, &c->armed, now))
		disarm(c, now);
	if (c->waking.last_ns && is_over(c, &c->waking, now)) {
		probe_disarm_waking(c->probe);
		c->waking.last_ns = 0;
	}
	if (is_over(c, &c->sampled, now) && now > c->start_ns + OFTEN_NS)
		probe_sample(c->probe, false);
}

void precise_steer(struct collector *c, uint64_t now)
{
	bool glances = false;

	c->held_at_ns = UINT64_MAX;
	if (!c->probe)
		return;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		uint64_t idle_ns, since, half = c->o.stall_ns / 2;

		if (is_glance(c, l, now)) {
			glances = true;
			continue;
		}
		since = l->kernel ? probe_busy_since(c->probe, l->tid, &idle_ns) : 0;
		if (!since || !watch_loop_reports(c, l))
			continue;
		if (now < since + half) {
			c->held_at_ns = since + half < c->held_at_ns ? since + half : c->held_at_ns;
			continue;
		}
		if (l->feed || c->imprecise || look_closer(c, l, since, idle_ns, now)) {
			hold(&c->sampled, c, l, since, now);
			probe_sample(c->probe, true);
		}
		if (is_glance(c, l, now))
			glances = true;
	}
	disarm_what_is_over(c, glances, now);
}

void precise_forbid(struct collector *c, uint64_t now)
{
	c->imprecise = true;
	if (c->armed_ns)
		disarm(c, now);
}
