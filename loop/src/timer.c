/* SPDX-License-Identifier: MIT */
/* The wheel of timer.h. After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987),
 * scheme 7. */
#include "timer.h"

#include "hot.h"
#include "list.h"

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
	wheel->now = wheel->seen = unit_of(now_ns);
}

static struct timer *timer_of(struct job *job)
{
	return container_of(job, struct timer, job);
}

static void append(struct timer_wheel *wheel, uint32_t at, struct timer *timer)
{
	struct timer_list *list = &wheel->slots[at][timer->order % TIMER_LISTS];
	struct job **link = list->first ? list->last : &list->first;

	timer->slot = (uint16_t)at;
	timer->job.next = NULL;
	timer->job.link = link;
	*link = &timer->job;
	list->last = &timer->job.next;
	wheel->occupied[at / TIMER_SLOTS][at % TIMER_SLOTS / 64] |= 1ull << at % 64;
}

static bool slot_is_empty(const struct timer_wheel *wheel, uint32_t at)
{
	for (unsigned i = 0; i < TIMER_LISTS; i++)
		if (wheel->slots[at][i].first)
			return false;
	return true;
}

static void clear_bit(struct timer_wheel *wheel, uint32_t at)
{
	wheel->occupied[at / TIMER_SLOTS][at % TIMER_SLOTS / 64] &= ~(1ull << at % 64);
}

/* Puts the timer where its time belongs, seen from the wheel's. */
static void place(struct timer_wheel *wheel, struct timer *timer, uint64_t unit)
{
	unsigned level = 0;

	if (unit <= wheel->now)
		unit = wheel->now;
	else
		level = (63u - (unsigned)__builtin_clzll(unit ^ wheel->now)) / TIMER_SLOT_BITS;
	unsigned shift = level * TIMER_SLOT_BITS;
	/* Otherwise its slot does not begin before either: none that begins then reaches so far. */
	if (unit < wheel->begin)
		wheel->begin = unit >> shift << shift;
	append(wheel, level * TIMER_SLOTS + (uint32_t)(unit >> shift & SLOT_MASK), timer);
}

void timer_add(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t unit = unit_of(timer->due_ns);

	timer->on_wheel = true;
	timer->order = wheel->added++;
	place(wheel, timer, unit > wheel->seen ? unit : wheel->seen);
	if (timer->due_ns < wheel->next_ns)
		wheel->next_ns = timer->due_ns;
	wheel->count++;
}

void timer_remove(struct timer_wheel *wheel, struct timer *timer)
{
	struct timer_list *list = &wheel->slots[timer->slot][timer->order % TIMER_LISTS];
	struct job *job = &timer->job;

	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	else
		list->last = job->link;
	if (!list->first && slot_is_empty(wheel, timer->slot))
		clear_bit(wheel, timer->slot);
	if (timer->due_ns <= wheel->next_ns)
		wheel->next_ns = 0;
	timer->on_wheel = false;
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

static __attribute__((noinline)) uint64_t find_next(const struct timer_wheel *wheel)
{
	uint64_t unit, first = UINT64_MAX;
	unsigned looked = 0;
	uint32_t at;

	if (wheel->count == 0 || !find_first(wheel, &at, &unit))
		return UINT64_MAX;
	for (unsigned i = 0; i < TIMER_LISTS; i++)
		for (struct job *job = wheel->slots[at][i].first; job; job = job->next) {
			if (++looked > LOOK_AT)
				return unit << UNIT_BITS;
			if (timer_of(job)->due_ns < first)
				first = timer_of(job)->due_ns;
		}
	return first;
}

LSC_HOT uint64_t timer_wheel_next(struct timer_wheel *wheel)
{
	if (wheel->next_ns == 0)
		wheel->next_ns = find_next(wheel);
	return wheel->next_ns;
}

/* ---- expiry ---- */

/* The lists of a slot, off the wheel, and what is next in each. */
struct taken {
	struct job *heads[TIMER_LISTS];
	unsigned turn;
	unsigned left; /* lists that are not empty */
};

static struct taken take_slot(struct timer_wheel *wheel, uint32_t at)
{
	struct taken taken = {.turn = 0};

	for (unsigned i = 0; i < TIMER_LISTS; i++) {
		struct job *first = wheel->slots[at][i].first;

		taken.heads[i] = first;
		wheel->slots[at][i].first = NULL;
		if (!first)
			continue;
		taken.left++;
		__builtin_prefetch(first, 1);
	}
	clear_bit(wheel, at);
	return taken;
}

/* The next timer, of each list in turn; NULL at the end. */
static struct timer *taken_next(struct taken *taken)
{
	if (taken->left == 0)
		return NULL;
	while (!taken->heads[taken->turn % TIMER_LISTS])
		taken->turn++;
	struct job **head = &taken->heads[taken->turn++ % TIMER_LISTS];
	struct job *job = *head;
	*head = job->next;
	if (*head)
		__builtin_prefetch(*head, 1);
	else
		taken->left--;
	return timer_of(job);
}

/* One level down with the timers of a slot whose time has begun. */
static void move_down(struct timer_wheel *wheel, uint32_t at)
{
	struct taken taken = take_slot(wheel, at);

	for (struct timer *t; (t = taken_next(&taken));)
		place(wheel, t, unit_of(t->due_ns));
}

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : (int32_t)(a->order - b->order) < 0;
}

static struct job *merge(struct job *a, struct job *b)
{
	struct job *first = NULL, **last = &first;

	while (a && b) {
		struct job **from = before(timer_of(b), timer_of(a)) ? &b : &a;

		*last = *from;
		last = &(*from)->next;
		*from = *last;
	}
	*last = a ? a : b;
	return first;
}

#define BLOCK 32

/* A sorted list of the next timers of the slot that are due, at most BLOCK of them; those that are
 * not go back. NULL at the end. */
static struct job *next_block(struct timer_wheel *wheel, struct taken *taken, uint64_t now_ns)
{
	struct timer *block[BLOCK], *t;
	unsigned n = 0;

	while (n < BLOCK && (t = taken_next(taken))) {
		unsigned i = n;

		if (t->due_ns > now_ns) {
			append(wheel, t->slot, t);
			continue;
		}
		for (; i > 0 && before(t, block[i - 1]); i--)
			block[i] = block[i - 1];
		block[i] = t;
		n++;
	}
	struct job *first = NULL;
	while (n-- > 0) {
		block[n]->job.next = first;
		first = &block[n]->job;
	}
	return first;
}

/* What is due of a slot of the lowest level, sorted: blocks, and lists of 2, 4, ... of them, are
 * merged as they come. */
static struct job *take_due(struct timer_wheel *wheel, uint32_t at, uint64_t now_ns)
{
	struct taken taken = take_slot(wheel, at);
	struct job *runs[64], *run, *all = NULL;
	unsigned top = 0;

	while ((run = next_block(wheel, &taken, now_ns))) {
		unsigned i = 0;

		for (; i < top && runs[i]; i++) {
			run = merge(runs[i], run);
			runs[i] = NULL;
		}
		if (i == top)
			top++;
		runs[i] = run;
	}
	for (unsigned i = 0; i < top; i++)
		if (runs[i])
			all = merge(runs[i], all);
	return all;
}

/* Returns their number. */
static size_t expire(struct timer_wheel *wheel, struct job *due, struct job_queue *queue)
{
	size_t n = 0;

	for (struct job *job = due, *next; job; job = next, n++) {
		struct timer *timer = timer_of(job);

		next = job->next;
		timer->on_wheel = false;
		if (timer->direct) {
			job->ops->run(job);
			continue;
		}
		timer->queued = true;
		job_push(queue, job);
	}
	wheel->count -= n;
	return n;
}

/* Empties the slots that have begun by now. True when max have expired before that was done. */
static __attribute__((noinline)) bool empty_slots(struct timer_wheel *wheel, uint64_t now,
						  uint64_t now_ns, size_t max,
						  struct job_queue *queue)
{
	uint64_t unit;
	uint32_t at;

	wheel->next_ns = 0;
	for (size_t n = 0;;) {
		if (wheel->count == 0 || !find_first(wheel, &at, &unit)) {
			wheel->begin = UINT64_MAX;
			return false;
		}
		wheel->begin = unit;
		if (unit > now || n >= max)
			return unit <= now;
		if (unit > wheel->now)
			wheel->now = unit;
		if (at >= TIMER_SLOTS) {
			move_down(wheel, at);
			continue;
		}
		n += expire(wheel, take_due(wheel, at, now_ns), queue);
		if (unit == now)
			return false; /* the slot that goes on may keep some */
	}
}

LSC_HOT bool timer_wheel_expire(struct timer_wheel *wheel, uint64_t now_ns, size_t max,
				struct job_queue *queue)
{
	uint64_t now = unit_of(now_ns);

	if (now > wheel->seen)
		wheel->seen = now;
	if (now >= wheel->begin && empty_slots(wheel, now, now_ns, max, queue))
		return true;
	if (now > wheel->now)
		wheel->now = now;
	return false;
}

void timer_wheel_drop(struct timer_wheel *wheel)
{
	uint64_t unit;
	uint32_t at;

	while (wheel->count > 0 && find_first(wheel, &at, &unit)) {
		unsigned i = 0;

		while (!wheel->slots[at][i].first)
			i++;
		struct timer *timer = timer_of(wheel->slots[at][i].first);
		timer_remove(wheel, timer);
		if (timer->job.ops->drop)
			timer->job.ops->drop(&timer->job);
	}
}
