/* SPDX-License-Identifier: MIT */
/* The heap of timer.h. Each timer knows its index, so that removing one needs no search. */
#include "timer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void place(struct timer_heap *heap, size_t at, struct timer *timer)
{
	heap->slots[at] = timer;
	timer->at = at;
}

static void sift_up(struct timer_heap *heap, size_t at, struct timer *timer)
{
	while (at > 0 && before(timer, heap->slots[(at - 1) / 2])) {
		place(heap, at, heap->slots[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(heap, at, timer);
}

static void sift_down(struct timer_heap *heap, size_t at, struct timer *timer)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && before(heap->slots[child + 1], heap->slots[child]))
			child++;
		if (!before(heap->slots[child], timer))
			break;
		place(heap, at, heap->slots[child]);
		at = child;
	}
	place(heap, at, timer);
}

int timer_heap_push(struct timer_heap *heap, struct timer *timer)
{
	if (heap->count == heap->room) {
		size_t room = heap->room ? 2 * heap->room : 64;
		struct timer **slots = realloc(heap->slots, room * sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		heap->slots = slots;
		heap->room = room;
	}
	timer->order = heap->pushed++;
	sift_up(heap, heap->count++, timer);
	return 0;
}

struct timer *timer_heap_first(const struct timer_heap *heap)
{
	return heap->count ? heap->slots[0] : NULL;
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer)
{
	struct timer *last = heap->slots[--heap->count];

	if (last == timer)
		return;
	if (before(last, timer))
		sift_up(heap, timer->at, last);
	else
		sift_down(heap, timer->at, last);
}

void timer_heap_done(struct timer_heap *heap)
{
	free(heap->slots);
	*heap = (struct timer_heap){0};
}
