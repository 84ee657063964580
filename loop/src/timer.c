/* SPDX-License-Identifier: MIT */
/* The wheel of timer.h. After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987),
 * scheme 7. */
#include "timer.h"

#define UNIT_BITS 14u						   /* 16.4 us */
#define LAST_UNIT ((1ull << (TIMER_LEVELS * TIMER_SLOT_BITS)) - 1) /* in 146 years */
#define SLOT_MASK (TIMER_SLOTS - 1u)

/* How many timers of a slot are looked at to find the first. */
#define LOOK_AT 32

static uint64_t unit_of(uint64_t ns)
{
	uint64_t unit = ns >> UNIT_BITS;

	return unit < LAST_UNIT ? unit : LAST_UNIT;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
	wheel->now = unit_of(now_ns);
}

static void append(struct timer_wheel *wheel, uint32_t at, struct timer *timer)
{
	struct timer_slot *slot = &wheel->slots[at];
	struct timer **link = slot->first ? slot->last : &slot->first;

	timer->slot = at;
	timer->next = NULL;
	timer->link = link;
	*link = timer;
	slot->last = &timer->next;
	wheel->occupied[at / TIMER_SLOTS][at % TIMER_SLOTS / 64] |= 1ull << at % 64;
}

static void clear_bit(struct timer_wheel *wheel, uint32_t at)
{
	wheel->occupied[at / TIMER_SLOTS][at % TIMER_SLOTS / 64] &= ~(1ull << at % 64);
}

/* Puts the timer where its time belongs, seen from the wheel's. */
static void place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t unit = unit_of(timer->due_ns);
	unsigned level = 0;

	if (unit <= wheel->now)
		unit = wheel->now;
	else
		level = (63u - (unsigned)__builtin_clzll(unit ^ wheel->now)) / TIMER_SLOT_BITS;
	append(wheel, level * TIMER_SLOTS + (uint32_t)(unit >> level * TIMER_SLOT_BITS & SLOT_MASK),
	       timer);
}

void timer_add(struct timer_wheel *wheel, struct timer *timer)
{
	place(wheel, timer);
	wheel->count++;
}

void timer_remove(struct timer_wheel *wheel, struct timer *timer)
{
	struct timer_slot *slot = &wheel->slots[timer->slot];

	*timer->link = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
	else
		slot->last = timer->link;
	if (!slot->first)
		clear_bit(wheel, timer->slot);
	timer->link = NULL;
	wheel->count--;
}

/* The first occupied slot: the earliest timers of all are in it. False when the wheel is empty. */
static bool find_first(const struct timer_wheel *wheel, uint32_t *ret_at, uint64_t *ret_unit)
{
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		unsigned shift = level * TIMER_SLOT_BITS;
		uint64_t from = wheel->now >> shift & SLOT_MASK;

		/* Earlier slots of the level are empty: what lies in it has its higher digits. */
		for (unsigned word = (unsigned)from / 64; word < TIMER_SLOTS / 64; word++) {
			uint64_t bits = wheel->occupied[level][word];

			if (!bits)
				continue;
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
			uint64_t high = wheel->now >> shift >> TIMER_SLOT_BITS;
			*ret_at = level * TIMER_SLOTS + index;
			*ret_unit = (high << TIMER_SLOT_BITS | index) << shift;
			return true;
		}
	}
	return false;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel)
{
	uint64_t unit, first = UINT64_MAX;
	unsigned looked = 0;
	uint32_t at;

	if (wheel->count == 0 || !find_first(wheel, &at, &unit))
		return UINT64_MAX;
	for (const struct timer *t = wheel->slots[at].first; t; t = t->next) {
		if (++looked > LOOK_AT)
			return unit << UNIT_BITS;
		if (t->due_ns < first)
			first = t->due_ns;
	}
	return first;
}

/* ---- expiry ---- */

static struct timer *take_slot(struct timer_wheel *wheel, uint32_t at)
{
	struct timer *all = wheel->slots[at].first;

	wheel->slots[at].first = NULL;
	clear_bit(wheel, at);
	return all;
}

/* One level down with the timers of a slot whose time has begun. */
static void move_down(struct timer_wheel *wheel, uint32_t at)
{
	for (struct timer *t = take_slot(wheel, at), *next; t; t = next) {
		next = t->next;
		place(wheel, t);
	}
}

static struct timer *merge(struct timer *a, struct timer *b)
{
	struct timer *first = NULL, **last = &first;

	while (a && b) {
		struct timer **from = b->due_ns < a->due_ns ? &b : &a; /* equal ones: a was first */

		*last = *from;
		last = &(*from)->next;
		*from = *last;
	}
	*last = a ? a : b;
	return first;
}

/* By deadline; stable. Runs of 1, 2, 4, ... timers are merged as they come. */
static struct timer *sort(struct timer *list)
{
	struct timer *runs[64] = {NULL};
	unsigned top = 0;

	while (list) {
		struct timer *run = list;
		unsigned i = 0;

		list = run->next;
		run->next = NULL;
		for (; i < top && runs[i]; i++) {
			run = merge(runs[i], run);
			runs[i] = NULL;
		}
		if (i == top)
			top++;
		runs[i] = run;
	}
	struct timer *all = NULL;
	for (unsigned i = 0; i < top; i++)
		if (runs[i])
			all = merge(runs[i], all);
	return all;
}

/* Those of the slot that is going on which are due already; the others stay. */
static struct timer *take_due(struct timer_wheel *wheel, uint32_t at, uint64_t now_ns)
{
	struct timer *due = NULL, **last = &due;

	for (struct timer *t = take_slot(wheel, at), *next; t; t = next) {
		next = t->next;
		if (t->due_ns > now_ns) {
			append(wheel, at, t);
			continue;
		}
		t->next = NULL;
		*last = t;
		last = &t->next;
	}
	return due;
}

static void expire(struct timer_wheel *wheel, struct timer *due)
{
	for (struct timer *t = sort(due), *next; t; t = next) {
		next = t->next;
		t->link = NULL;
		wheel->count--;
		t->ops->expired(t);
	}
}

void timer_wheel_expire(struct timer_wheel *wheel, uint64_t now_ns)
{
	uint64_t now = unit_of(now_ns), unit;
	uint32_t at;

	while (wheel->count > 0 && find_first(wheel, &at, &unit) && unit <= now) {
		if (unit > wheel->now)
			wheel->now = unit;
		if (at >= TIMER_SLOTS) {
			move_down(wheel, at);
		} else if (unit < now) {
			expire(wheel, take_slot(wheel, at));
		} else {
			expire(wheel, take_due(wheel, at, now_ns));
			break;
		}
	}
	if (now > wheel->now)
		wheel->now = now;
}

void timer_wheel_drop(struct timer_wheel *wheel)
{
	uint64_t unit;
	uint32_t at;

	while (wheel->count > 0 && find_first(wheel, &at, &unit)) {
		struct timer *t = wheel->slots[at].first;

		timer_remove(wheel, t);
		if (t->ops->dropped)
			t->ops->dropped(t);
	}
}
