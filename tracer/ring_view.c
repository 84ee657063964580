/* SPDX-License-Identifier: MIT */
/* Ticks add up to busy time; the rest is ring_track's. */
#include "ring_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define READ_MAX  16384
#define TURNS_MAX 64 /* a writer may be faster than we are */

struct search {
	const struct target *target;
	struct ring_view **list;
};

static void on_record(const struct ring_record *r, void *arg)
{
	struct ring_view *v = arg;

	ring_track_feed(v->track, r);
}

static void on_tick(const struct ring_tick *tick, void *arg)
{
	struct ring_view *v = arg;
	uint64_t begin = tick->begin_ns > v->begin_ns ? tick->begin_ns : v->begin_ns;

	if (tick->end_ns > begin)
		v->busy_ns += tick->end_ns - begin;
}

static void on_gap(void *arg)
{
	struct ring_view *v = arg;

	ring_request_snapshot(v->ring);
}

static const struct ring_track_ops ops = {.tick = on_tick, .gap = on_gap};

static bool is_open(const struct ring_view *list, const struct ring_info *info)
{
	for (const struct ring_view *v = list; v; v = v->next)
		if (ring_info(v->ring)->ino == info->ino)
			return true;
	return false;
}

static int on_found(int fd, void *arg)
{
	struct search *s = arg;
	struct ring_view *v = calloc(1, sizeof(*v));
	struct lsc_err err;

	if (!v || ring_open(s->target->pidfd, fd, RING_FROM_OLDEST, &v->ring, &err) < 0) {
		free(v);
		return 0;
	}
	const struct ring_info *info = ring_info(v->ring);
	v->pid = s->target->pid;
	v->begin_ns = lsc_now_ns();
	v->tid = (int)info->pid == s->target->ns_pid && !is_open(*s->list, info)
			 ? target_find_thread(s->target, (int)info->tid, false, v->comm)
			 : 0;
	v->track = v->tid > 0 ? ring_track_new(&ops, v) : NULL;
	if (!v->track) { /* inherited by fork, or of a thread that ended */
		ring_close(v->ring);
		free(v);
		return 0;
	}
	ring_request_snapshot(v->ring);
	v->next = *s->list;
	*s->list = v;
	return 0;
}

void ring_view_open(const struct target *t, struct ring_view **list)
{
	struct search s = {t, list};

	ring_scan(t->pid, on_found, &s);
}

struct ring_view *ring_view_free(struct ring_view *list)
{
	while (list) {
		struct ring_view *next = list->next;
		ring_track_free(list->track);
		ring_close(list->ring);
		free(list);
		list = next;
	}
	return NULL;
}

void ring_view_read(struct ring_view *v)
{
	for (int i = 0; i < TURNS_MAX && !v->broken; i++) {
		int n = ring_read(v->ring, READ_MAX, on_record, v);
		v->broken = n < 0;
		if (n < READ_MAX)
			return;
	}
}

double ring_view_utilization(const struct ring_view *v, uint64_t now)
{
	uint64_t since, busy = v->busy_ns;
	uint32_t task;

	if (v->broken || now <= v->begin_ns)
		return -1;
	if (ring_track_in_tick(v->track, &since, &task)) {
		if (since < v->begin_ns)
			since = v->begin_ns;
		busy += now > since ? now - since : 0;
	}
	double share = (double)busy / (double)(now - v->begin_ns);
	return share > 1 ? 1 : share;
}
