/* SPDX-License-Identifier: MIT */
/*
 * Stacks whose names lie in debug files that are still on their way (debuginfod): the copies are
 * kept, and walked again when such a file has come; the stored stack and the callback that it lies
 * in then get their names. Copies
 * with frames of Python or JavaScript are not kept: those of that time may be gone.
 */
#include "evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPIES_MAX 64 /* under way and kept; some 2 MiB at most */
#define WALKS_MAX  8  /* of one copy: several of its files may come */
#define BUILDS_MAX 4  /* that one copy waits for */

struct rewalk {
	struct rewalk *next; /* among those that are kept */
	int64_t stack;
	int pid, tid;
	int64_t target;
	int64_t loop, task; /* the row of its callback, 0: none that was named by it */
	struct callback_place callback;
	uint64_t path; /* of its frames, a hash: a walk that goes elsewhere is not of this stack */
	char builds[BUILDS_MAX][64 + 1]; /* in hex; empty: no more */
	unsigned int walks;
	bool under_way;
	uint64_t regs[INSPECTOR_REGS];
	size_t size;
	uint8_t copy[];
};

void rewalk_drop(struct collector *c, struct rewalk *w)
{
	if (w)
		c->nrewalks--;
	free(w);
}

static void forget(struct collector *c, struct rewalk *w)
{
	struct rewalk **at = &c->rewalks;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	rewalk_drop(c, w);
}

static bool awaits(const struct collector *c, const struct rewalk *w)
{
	for (size_t i = 0; i < BUILDS_MAX && w->builds[i][0]; i++)
		if (inspector_awaits(c->inspector, w->builds[i]))
			return true;
	return false;
}

/* Those whose files will not come any more. */
static void forget_vain(struct collector *c)
{
	for (struct rewalk *next, *w = c->rewalks; w; w = next) {
		next = w->next;
		if (!w->under_way && !awaits(c, w))
			forget(c, w);
	}
}

struct rewalk *rewalk_copy(struct collector *c, const struct loop *l, const uint64_t *regs,
			   const void *stack, size_t size)
{
	struct rewalk *w;

	if (!inspector_fetches(c->inspector))
		return NULL;
	if (c->nrewalks >= COPIES_MAX)
		forget_vain(c);
	if (c->nrewalks >= COPIES_MAX)
		return NULL;
	w = malloc(sizeof(*w) + size);
	if (!w)
		return NULL;
	*w = (struct rewalk){
		.pid = l->target->pid, .tid = l->tid, .target = l->target->id, .size = size};
	memcpy(w->regs, regs, sizeof(w->regs));
	memcpy(w->copy, stack, size);
	c->nrewalks++;
	return w;
}

/* Notes the files on their way that may name more of its frames. False: there is none, or some
 * frames are of another language. */
static bool note_builds(const struct collector *c, struct rewalk *w,
			const struct inspector_result *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->nframes; i++) {
		const struct inspector_frame *f = &r->frames[i];
		bool known = !f->build_id || (f->function && f->file) ||
			     !inspector_awaits(c->inspector, f->build_id);

		if (f->python || f->js)
			return false;
		for (size_t k = 0; !known && k < n; k++)
			known = !strcmp(w->builds[k], f->build_id);
		if (!known && n < BUILDS_MAX)
			snprintf(w->builds[n++], sizeof(w->builds[0]), "%s", f->build_id);
	}
	if (n < BUILDS_MAX)
		w->builds[n][0] = '\0';
	return n > 0;
}

/* FNV-1a of where the frames lie; inlined ones are at the place of the next. */
static uint64_t path_of(const struct inspector_result *r)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < r->nframes; i++)
		if (!r->frames[i].inlined)
			h = (h ^ r->frames[i].offset) * 0x100000001b3ull;
	return h;
}

void rewalk_keep(struct collector *c, struct loop *l, struct rewalk *w, int64_t stack,
		 const struct inspector_result *r)
{
	bool keep = stack && !r->why && note_builds(c, w, r);

	for (const struct rewalk *k = c->rewalks; keep && k; k = k->next)
		keep = k->stack != stack;
	if (!keep) {
		rewalk_drop(c, w);
		return;
	}
	w->stack = stack;
	w->loop = l->id;
	w->callback = callback_place(l, r);
	w->task = w->callback.sp ? callback_of(c, l, r) : 0;
	w->path = path_of(r);
	w->next = c->rewalks;
	c->rewalks = w;
}

/* False: it cannot be; the number may be another process's by now. */
static bool walk(struct collector *c, struct rewalk *w)
{
	const struct target *t = watch_target_of(c, w->pid);
	struct job *j;

	if (!t || t->gone || t->id != w->target)
		return false;
	j = job_new(c, NULL, JOB_REWALK);
	if (!j)
		return false;
	j->rewalk = w;
	w->walks++;
	w->under_way = job_begin(c, j,
				 inspector_unwind(c->inspector, j->cookie, w->pid, w->tid, w->regs,
						  w->copy, w->size)) != 0;
	return w->under_way;
}

static void give_up(struct collector *c, struct rewalk *w, const char *why)
{
	ledger_unresolved(c, "names and lines", why);
	forget(c, w);
}

void rewalk_steer(struct collector *c)
{
	uint32_t edition = inspector_edition(c->inspector);

	if (edition == c->rewalk_edition)
		return;
	c->rewalk_edition = edition;
	for (struct loop *l = c->loops; l; l = l->hh.next)
		callback_forget(l);
	for (struct rewalk *next, *w = c->rewalks; w; w = next) {
		next = w->next;
		if (!w->under_way && !walk(c, w))
			give_up(c, w, "the debug file came when the program had ended");
	}
}

void rewalk_found(struct collector *c, struct rewalk *w, const struct inspector_result *r)
{
	w->under_way = false;
	if (r->why || path_of(r) != w->path) {
		give_up(c, w, r->why ? r->why : "the stack cannot be walked again");
		return;
	}
	stack_rename(c, w->stack, r);
	for (struct loop *l = w->task ? c->loops : NULL; l; l = l->hh.next)
		if (l->id == w->loop)
			callback_rename(c, l, w->task, &w->callback, r);
	if (!note_builds(c, w, r) || w->walks == WALKS_MAX)
		forget(c, w);
}

void rewalk_end(struct collector *c)
{
	for (const struct rewalk *w = c->rewalks; w; w = w->next)
		if (awaits(c, w))
			ledger_unresolved(c, "names and lines",
					  "the debug file came when the capture ended");
}

void rewalks_free(struct collector *c)
{
	while (c->rewalks)
		forget(c, c->rewalks);
}
