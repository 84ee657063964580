/* SPDX-License-Identifier: MIT */
/*
 * Tasks of loops without a ring: those of asyncio, and the callbacks of loops in C, that were met
 * in a block or a sample. Of such a one its name and its function are known, and nothing of what it
 * did before or after.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 4096 /* of a loop; then the one met first is forgotten */

struct met_task {
	uint64_t address; /* of its object; a later one may lie there, too. Of a callback: a hash */
	struct store_task row;
	char *name, *function, *file; /* owned; NULL unknown */
	UT_hash_handle hh;
};

static void task_free(struct met_task *t)
{
	free(t->name);
	free(t->function);
	free(t->file);
	free(t);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(const struct met_task *t, const struct inspector_task *seen)
{
	return same_text(t->name, seen->name) && same_text(t->function, seen->function) &&
	       same_text(t->file, seen->file) && t->row.spawn_site.line == seen->line;
}

static bool copy_text(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return *ret || !text;
}

static struct met_task *task_new(const struct loop *l, int64_t id,
				 const struct inspector_task *seen, enum store_task_kind kind)
{
	struct met_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->address = seen->address;
	if (!copy_text(&t->name, seen->name) || !copy_text(&t->function, seen->function) ||
	    !copy_text(&t->file, seen->file)) {
		task_free(t);
		return NULL;
	}
	t->row = (struct store_task){.id = id,
				     .loop = l->id,
				     .name = t->name,
				     .kind = kind,
				     .spawn_site = {t->function, t->file, seen->line}};
	return t;
}

/* Takes t, which may be NULL, and stores it. Its id, 0: no memory. */
static int64_t task_put(struct collector *c, struct loop *l, struct met_task *t)
{
	if (!t)
		return 0;
	HASH_ADD(hh, l->tasks, address, sizeof(t->address), t);
	if (!t->hh.tbl) {
		task_free(t);
		return 0;
	}
	ledger_stored(c, store_put_task(c->store, &t->row));
	return t->row.id;
}

int64_t task_meet(struct collector *c, struct loop *l, const struct inspector_task *seen,
		  enum store_task_kind kind)
{
	struct met_task *t;

	if (!seen->address || l->feed) /* a ring has numbers of its own */
		return 0;
	HASH_FIND(hh, l->tasks, &seen->address, sizeof(seen->address), t);
	if (t && is_same(t, seen))
		return t->row.id;
	if (!t && HASH_COUNT(l->tasks) >= TASKS_MAX)
		t = l->tasks;
	if (t) {
		HASH_DEL(l->tasks, t);
		task_free(t);
	}
	return task_put(c, l, task_new(l, l->id << 32 | ++l->next_task, seen, kind));
}

void task_rename(struct collector *c, struct loop *l, int64_t id, const struct inspector_task *seen)
{
	struct met_task *t, *known, *renamed;

	for (t = l->tasks; t && t->row.id != id; t = t->hh.next)
		;
	if (!t || is_same(t, seen))
		return;
	renamed = task_new(l, id, seen, t->row.kind);
	if (!renamed)
		return;
	HASH_DEL(l->tasks, t);
	task_free(t);
	HASH_FIND(hh, l->tasks, &seen->address, sizeof(seen->address), known);
	if (!known) {
		task_put(c, l, renamed);
		return;
	}
	/* it was met by that name since, which stays what is met from now on */
	ledger_stored(c, store_put_task(c->store, &renamed->row));
	task_free(renamed);
}

const struct store_task *task_of(const struct loop *l, int64_t id)
{
	for (const struct met_task *t = id ? l->tasks : NULL; t; t = t->hh.next)
		if (t->row.id == id)
			return &t->row;
	return NULL;
}

void task_forget(struct loop *l)
{
	struct met_task *t, *next;

	HASH_ITER(hh, l->tasks, t, next)
	{
		HASH_DEL(l->tasks, t);
		task_free(t);
	}
}
