/* SPDX-License-Identifier: MIT */
/*
 * A task of asyncio waits for a future or for a group, and names what it wakes itself: an await is
 * where the two meet. A ring says outright which task is awaited.
 */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "feed_row.h"

#define TEXT_MAX    1024
#define THREADS_MAX 64

struct waker { /* task number `task` wakes what lies at `object` */
	uint64_t object;
	uint32_t task;
};

struct waiter {
	uint64_t waiter, group;
	int tid;
};

struct tasks {
	const struct target *target; /* borrowed */
	json_t *list;
	struct waiter *waiters; /* owned; of each task of asyncio, which come first in the list */
	struct waker *wakers;	/* owned */
	size_t nwaiters, waiters_room, nwakers, wakers_room;
	struct {
		int ns_tid, tid;
	} threads[THREADS_MAX];
	size_t nthreads;
	json_int_t next_id;
	bool failed;
};

struct tasks *tasks_new(const struct target *target)
{
	struct tasks *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->target = target;
	t->list = json_array();
	return t->list ? t : tasks_free(t);
}

struct tasks *tasks_free(struct tasks *t)
{
	if (!t)
		return NULL;
	json_decref(t->list);
	free(t->waiters);
	free(t->wakers);
	free(t);
	return NULL;
}

size_t tasks_count(const struct tasks *t)
{
	return json_array_size(t->list);
}

bool tasks_failed(const struct tasks *t)
{
	return t->failed;
}

json_t *tasks_get(const struct tasks *t, size_t i)
{
	return json_array_get(t->list, i);
}

size_t tasks_of_thread(const struct tasks *t, int tid)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nwaiters; i++)
		n += t->waiters[i].tid == tid;
	return n;
}

static json_t *text_or_null(const char *text)
{
	json_t *t = control_text(text, TEXT_MAX);

	return t ? t : json_null();
}

/* Room for one more. */
static void *grow(struct tasks *t, void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	size_t more = *room ? 2 * *room : 64;
	void *grown = realloc(array, more * size);
	if (!grown) {
		t->failed = true;
		return NULL;
	}
	*room = more;
	return grown;
}

static void append(struct tasks *t, json_t *task)
{
	if (!task || json_array_append_new(t->list, task) < 0)
		t->failed = true;
}

/* ---- asyncio ---- */

/* Our number of the target's thread; 0 unknown. */
static int thread_of(struct tasks *t, int ns_tid)
{
	char comm[16];

	if (!ns_tid)
		return 0;
	for (size_t i = 0; i < t->nthreads; i++)
		if (t->threads[i].ns_tid == ns_tid)
			return t->threads[i].tid;
	int tid = target_find_thread(t->target, ns_tid, false, comm);
	if (tid < 0)
		tid = 0;
	if (t->nthreads < THREADS_MAX) {
		t->threads[t->nthreads].ns_tid = ns_tid;
		t->threads[t->nthreads++].tid = tid;
	}
	return tid;
}

static json_t *frames_of(const struct inspector_pytask *p)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < p->nframes; i++) {
		const struct inspector_task_frame *f = &p->frames[i];
		json_array_append_new(
			frames, json_pack("{s:o, s:o, s:o}", "function", text_or_null(f->function),
					  "file", text_or_null(f->file), "line",
					  f->line > 0 ? json_integer(f->line) : json_null()));
	}
	return frames;
}

static void add_asyncio(struct tasks *t, const struct inspector_pytask *p)
{
	static const char *const states[] = {"ready", "running", "waiting"};
	int tid = thread_of(t, p->tid);
	struct waiter *w = grow(t, t->waiters, t->nwaiters, &t->waiters_room, sizeof(*t->waiters));

	if (!w)
		return;
	t->waiters = w;
	append(t,
	       json_pack("{s:I, s:s, s:o, s:o, s:s, s:n, s:o, s:[], s:o, s:b, s:n, s:n}", "id",
			 ++t->next_id, "source", "asyncio", "loop",
			 tid ? json_integer(tid) : json_null(), "name", text_or_null(p->name),
			 "state", states[p->state], "age_ns", "waiting_on", text_or_null(p->waits),
			 "awaits", "frames", frames_of(p), "cut", p->cut, "spawn_site", "parent"));
	if (t->failed)
		return;
	for (size_t i = 0; i < p->nwakes; i++) {
		struct waker *more =
			grow(t, t->wakers, t->nwakers, &t->wakers_room, sizeof(*t->wakers));
		if (!more)
			return;
		t->wakers = more;
		t->wakers[t->nwakers++] = (struct waker){p->wakes[i], (uint32_t)t->nwaiters};
	}
	t->waiters[t->nwaiters++] = (struct waiter){p->waiter, p->group, tid};
}

void tasks_add_page(struct tasks *t, const struct inspector_pytask *page, size_t n)
{
	for (size_t i = 0; i < n && !t->failed; i++)
		add_asyncio(t, &page[i]);
}

static int compare(const void *a, const void *b)
{
	const struct waker *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return (x->task > y->task) - (x->task < y->task);
}

/* All tasks that wake the object are awaited by number `task`. */
static void join(struct tasks *t, size_t task, uint64_t object)
{
	json_t *awaits = json_object_get(json_array_get(t->list, task), "awaits");
	size_t low = 0, high = t->nwakers;

	while (object && low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->wakers[mid].object < object)
			low = mid + 1;
		else
			high = mid;
	}
	for (; object && low < t->nwakers && t->wakers[low].object == object; low++)
		if (t->wakers[low].task != task)
			json_array_append_new(awaits, json_integer(t->wakers[low].task + 1));
}

void tasks_join(struct tasks *t)
{
	if (t->nwakers)
		qsort(t->wakers, t->nwakers, sizeof(t->wakers[0]), compare);
	for (size_t i = 0; i < t->nwaiters; i++) {
		join(t, i, t->waiters[i].waiter);
		join(t, i, t->waiters[i].group);
	}
}

/* ---- rings ---- */

struct adding {
	struct tasks *tasks;
	const struct ring_view *view;
	json_int_t base; /* of the ring's numbers, which begin at 1 */
	json_int_t last;
	uint64_t now;
};

static json_t *number_or_null(json_int_t base, int64_t number)
{
	return number ? json_integer(base + number) : json_null();
}

static json_t *site_of(const struct ring_task *task)
{
	if (!task->site)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "function", text_or_null(task->site->function), "file",
			 text_or_null(task->site->file), "line",
			 task->site->line > 0 ? json_integer(task->site->line) : json_null());
}

static int add_ring_task(struct ring_task *task, void *arg)
{
	struct adding *a = arg;
	struct tasks *t = a->tasks;
	struct feed_row row;
	json_t *awaits = json_array();

	feed_row_fill(&row, 0, task, ring_track_state(a->view->track, task));
	if (row.task.awaits)
		json_array_append_new(awaits, json_integer(a->base + (uint32_t)row.task.awaits));
	const char *state = row.task.state ? row.task.state : "unknown";
	uint64_t made = task->created_ns;
	append(t, json_pack("{s:I, s:s, s:i, s:o, s:s, s:o, s:o, s:o, s:[], s:b, s:o, s:o}", "id",
			    a->base + (json_int_t)task->id, "source", "ring", "loop", a->view->tid,
			    "name", text_or_null(task->name), "state",
			    strcmp(state, "suspended") == 0 ? "waiting" : state, "age_ns",
			    made && made < a->now ? json_integer((json_int_t)(a->now - made))
						  : json_null(),
			    "waiting_on", text_or_null(row.task.waiting_on), "awaits", awaits,
			    "frames", "cut", false, "spawn_site", site_of(task), "parent",
			    number_or_null(a->base, task->parent)));
	if (a->last < (json_int_t)task->id)
		a->last = (json_int_t)task->id;
	return t->failed;
}

void tasks_add_ring(struct tasks *t, const struct ring_view *v, uint64_t now)
{
	struct adding a = {t, v, t->next_id, 0, now};

	ring_track_each(v->track, add_ring_task, &a);
	t->next_id += a.last;
}
