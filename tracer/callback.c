/* SPDX-License-Identifier: MIT */
/*
 * The callback that a loop in C was in. Its library and its program are not known beforehand; what
 * is known is the stack that the loop idles with, its *home*. A stack of a tick has the outer
 * frames in common with it, up to the function that turns the loop: what that function called
 * instead of the wait, past the frames of a loop library, is the callback.
 */
#include "evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "loop_library.h"

#define HOMES_MAX    4 /* waits of one loop that are told apart */
#define HOME_FRAMES  64
#define LOOK_NS	     50000000ull /* from one look for a loop's home to the next */
#define LOOKS_SOON   20		 /* then a look each second, ... */
#define LOOKS_MAX    50		 /* ... and in the end none any more */
#define LOOKS_MORE   5		 /* for other waits, when one is known */
#define PENDING_MAX  4		 /* stacks of blocks come first */
#define EAGER_LOOPS  32		 /* of more than these, those that block are looked at */
#define NAMED_WITHIN 4		 /* frames that are searched for a name */

/* Frames are compared by these, and names live in another answer. */
struct home_frame {
	uint64_t sp, offset, entry, module, function; /* the last two: hashes, 0 unknown */
};

struct home {
	struct home_frame frames[HOME_FRAMES]; /* leaf first */
	size_t n;
	struct home *next;
};

static uint64_t hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
	return s ? h : 0;
}

static struct home_frame home_frame(const struct inspector_frame *f)
{
	return (struct home_frame){.sp = f->sp,
				   .offset = f->offset,
				   .entry = f->entry,
				   .module = hash_text(f->module),
				   .function = hash_text(f->function)};
}

/* The same call of the same caller, so the frame itself is the same, too. */
static bool same_call(const struct home_frame *a, const struct home_frame *b)
{
	return a->sp == b->sp && a->offset == b->offset && a->module == b->module &&
	       a->function == b->function && a->sp;
}

static bool same_function(const struct home_frame *a, const struct home_frame *b)
{
	return a->module == b->module && a->function == b->function &&
	       (a->function || (a->entry && a->entry == b->entry));
}

/* ---- homes ---- */

static bool same_home(const struct home *a, const struct home *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_call(&a->frames[i], &b->frames[i]))
			return false;
	return true;
}

/* One that was read while the thread may have run is believed when it is read the same again. */
static bool is_believed(struct loop *l, const struct home *h, bool certain)
{
	return certain || (l->doubtful && same_home(l->doubtful, h));
}

static bool is_new(const struct loop *l, const struct home *h)
{
	size_t known = 0;

	for (const struct home *o = l->homes; o; o = o->next, known++)
		if (same_home(o, h))
			return false;
	return known < HOMES_MAX;
}

/* The library that waits is the innermost. */
static bool waits_in_libuv(const struct inspector_result *r)
{
	const char *library = NULL;

	for (size_t i = 0; i < r->nframes && !library; i++)
		library = loop_library(&r->frames[i]);
	return library && !strcmp(library, "libuv");
}

static void put_home(struct loop *l, const struct inspector_result *r, bool certain)
{
	struct home *h = calloc(1, sizeof(*h));

	if (!h)
		return;
	for (size_t i = 0; i < r->nframes && h->n < HOME_FRAMES; i++)
		h->frames[h->n++] = home_frame(&r->frames[i]);
	if (!is_new(l, h)) {
		free(h);
	} else if (!is_believed(l, h, certain)) {
		free(l->doubtful);
		l->doubtful = h;
	} else {
		h->next = l->homes;
		l->homes = h;
		l->of_libuv = waits_in_libuv(r);
	}
}

void callback_forget(struct loop *l)
{
	while (l->homes) {
		struct home *h = l->homes;
		l->homes = h->next;
		free(h);
	}
	free(l->doubtful);
	l->doubtful = NULL;
	l->of_libuv = false;
	l->home_looks = 0;
}

static bool idles(struct collector *c, const struct loop *l)
{
	struct thread_state t;

	return probe_thread(c->probe, l->tid, &t) == 0 && t.off == OFF_IDLE;
}

static void ask_home(struct collector *c, struct loop *l)
{
	struct look_view seen;

	if (!idles(c, l) || look_at(c->look, l->tid, &seen) < 0 || seen.on_cpu ||
	    seen.tgid != (__u32)l->target->pid)
		return;
	struct inspector_sleeper sleeper = {.regs = (const uint64_t *)seen.regs};
	struct job *j = job_new(c, l, JOB_HOME);
	if (!j)
		return;
	j->seen = seen;
	l->home_job = job_begin(
		c, j,
		inspector_unwind_asleep(c->inspector, j->cookie, l->target->pid, l->tid, &sleeper));
}

/* A loop with a ring and an interpreter have better names for what they run. */
static bool has_callbacks(const struct loop *l)
{
	return !l->feed && !target_language(l->target);
}

void callback_steer(struct collector *c, struct loop *l, uint64_t now)
{
	if (!c->look || !l->announced || !l->kernel || l->exited || l->home_job ||
	    now < l->home_ns || l->home_looks >= LOOKS_MAX || !has_callbacks(l) ||
	    (c->nloops > EAGER_LOOPS && !l->stall_count && !l->blocks) ||
	    inspector_pending(c->inspector) >= PENDING_MAX)
		return;
	l->home_ns = now + (l->home_looks < LOOKS_SOON ? LOOK_NS : LSC_NS_PER_S);
	l->home_looks++;
	ask_home(c, l);
}

void callback_home(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	struct loop *l = j->loop;
	struct look_view now;

	l->home_job = 0;
	if (!r->nframes || r->why || look_at(c->look, l->tid, &now) < 0 || !idles(c, l))
		return;
	put_home(l, r, look_stood_still(&j->seen, &now));
	if (l->homes && l->home_looks < LOOKS_MAX - LOOKS_MORE)
		l->home_looks = LOOKS_MAX - LOOKS_MORE;
}

/* ---- callbacks ---- */

/* The index of what the function that turns the loop called, -1: a stack that comes from elsewhere,
 * or ends in that function. */
static int called_by_turner(const struct home *h, const struct inspector_result *r)
{
	for (size_t i = 1; i < r->nframes; i++) {
		struct home_frame outer = home_frame(&r->frames[i]);
		for (size_t k = 1; k < h->n; k++) {
			if (!same_call(&outer, &h->frames[k]))
				continue;
			/* inwards the calls differ, at first within one function and what was
			 * inlined into it */
			uint64_t sp = r->frames[i - 1].sp;
			for (; i > 0 && k > 0; i--, k--) {
				struct home_frame f = home_frame(&r->frames[i - 1]);
				if (f.sp != sp || !same_function(&f, &h->frames[k - 1]))
					break;
			}
			return (int)i - 1;
		}
	}
	return -1;
}

/* The name of the frame, or of the next that has one, of the same file: few programs keep the names
 * of functions that are not for others. */
static const char *name_of(const struct inspector_result *r, int at, char *buf, size_t size)
{
	const struct inspector_frame *f = &r->frames[at];

	for (int i = at; i >= 0 && i > at - NAMED_WITHIN; i--) {
		const struct inspector_frame *g = &r->frames[i];
		if (!g->module || !f->module || strcmp(g->module, f->module) != 0)
			break;
		if (g->function)
			return g->function;
	}
	uint64_t where = f->entry ? f->entry : f->offset;
	snprintf(buf, size, "%s%s0x%llx", f->module ? basename(f->module) : "",
		 f->module ? "+" : "", (unsigned long long)where);
	return buf;
}

static struct inspector_task task_of_frame(const struct inspector_result *r, int at, char *buf,
					   size_t size)
{
	const struct inspector_frame *f = &r->frames[at];
	struct inspector_task t = {
		.name = name_of(r, at, buf, size), .function = f->function, .file = f->file};

	t.address = hash_text(t.name) ^ hash_text(f->module);
	return t;
}

static int64_t meet(struct collector *c, struct loop *l, const struct inspector_result *r, int at)
{
	char buf[256];
	struct inspector_task t = task_of_frame(r, at, buf, sizeof(buf));

	return task_meet(c, l, &t, STORE_TASK_CALLBACK);
}

/* The callback ended in the call that is the leaf: only who called it is left on the stack. */
static int64_t meet_caller(struct collector *c, struct loop *l, const char *library)
{
	char name[64];

	snprintf(name, sizeof(name), STORE_CALLED_FROM "%s", library);
	struct inspector_task t = {.name = name, .address = hash_text(name)};
	return task_meet(c, l, &t, STORE_TASK_CALLBACK);
}

/* Past the frames of loop libraries and of what stands between these and a callback; the library
 * is known in the end where there was one. */
static int pass_libraries(const struct inspector_result *r, int at, const char **library)
{
	for (; at >= 0; at--) {
		const struct inspector_frame *f = &r->frames[at];
		if (loop_library(f))
			*library = loop_library_part(f);
		else if (!loop_library_is_glue(f))
			break;
	}
	return at;
}

/* Memory that is no file's, and that nothing names, may be the code of any function. */
static bool is_callback(const struct inspector_frame *f)
{
	return (f->module || f->function) && !loop_library_is_c(f);
}

/* The index of its frame, -1: it is not on the stack. *ret_library: the library that called it. */
static int find_callback(const struct loop *l, const struct inspector_result *r,
			 const char **ret_library)
{
	const char *library = NULL;
	int first = -1;

	*ret_library = NULL;

	for (const struct home *h = l->homes; h; h = h->next) {
		int i = called_by_turner(h, r);
		if (i >= 0 && (first < 0 || i < first))
			first = i;
	}
	if (first < 0)
		return -1;
	if ((size_t)first + 1 < r->nframes)
		library = loop_library(&r->frames[first + 1]);
	int at = pass_libraries(r, first, &library);
	*ret_library = library;
	if (!library && (at < 0 || loop_library_is_c(&r->frames[at])))
		at = first; /* the turn itself called what is glue elsewhere */
	return at >= 0 && is_callback(&r->frames[at]) ? at : -1;
}

int64_t callback_of(struct collector *c, struct loop *l, const struct inspector_result *r)
{
	const char *library;
	int at = find_callback(l, r, &library);

	if (at >= 0)
		return meet(c, l, r, at);
	return library ? meet_caller(c, l, library) : 0;
}

struct callback_place callback_place(const struct loop *l, const struct inspector_result *r)
{
	const char *library;
	int at = find_callback(l, r, &library);

	if (at < 0)
		return (struct callback_place){0};
	return (struct callback_place){.sp = r->frames[at].sp, .offset = r->frames[at].offset};
}

void callback_rename(struct collector *c, struct loop *l, int64_t task,
		     const struct callback_place *place, const struct inspector_result *r)
{
	struct inspector_task t;
	char buf[256];

	for (size_t i = 0; i < r->nframes; i++) {
		const struct inspector_frame *f = &r->frames[i];
		if (f->inlined || f->sp != place->sp || f->offset != place->offset)
			continue;
		t = task_of_frame(r, (int)i, buf, sizeof(buf));
		task_rename(c, l, task, &t);
		return;
	}
}
