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

/* Tasks that follow each other lie at the same address, and stacks are told in any order: what it
 * is known by is its object's address (of a callback: a hash) and all that is told of it. */
struct met_task {
	struct store_task row; /* its texts lie in the key */
	UT_hash_handle hh;
	size_t size;
	char key[];
};

#define KEY_NUMBERS (sizeof(uint64_t) + sizeof(int))

static size_t text_size(const char *text)
{
	return text ? 1 + strlen(text) + 1 : 1;
}

/* Whether there is one, and the text. Where it lies; NULL: there is none. */
static const char *put_text(char **at, const char *text)
{
	char *to = *at;
	size_t size = text_size(text);

	*at += size;
	*to = text != NULL;
	return text ? memcpy(to + 1, text, size - 1) : NULL;
}

static struct met_task *task_new(const struct loop *l, int64_t id,
				 const struct inspector_task *seen, enum store_task_kind kind)
{
	size_t size = KEY_NUMBERS + text_size(seen->name) + text_size(seen->function) +
		      text_size(seen->file);
	struct met_task *t = calloc(1, sizeof(*t) + size);

	if (!t)
		return NULL;
	char *at = t->key + KEY_NUMBERS;
	t->size = size;
	memcpy(t->key, &seen->address, sizeof(seen->address));
	memcpy(t->key + sizeof(seen->address), &seen->line, sizeof(seen->line));
	t->row = (struct store_task){.id = id, .loop = l->id, .kind = kind};
	t->row.name = put_text(&at, seen->name);
	t->row.spawn_site.function = put_text(&at, seen->function);
	t->row.spawn_site.file = put_text(&at, seen->file);
	t->row.spawn_site.line = seen->line;
	return t;
}

/* Takes t and stores it. Its id, 0: no memory. */
static int64_t task_put(struct collector *c, struct loop *l, struct met_task *t)
{
	HASH_ADD_KEYPTR(hh, l->tasks, t->key, t->size, t);
	if (!t->hh.tbl) {
		free(t);
		return 0;
	}
	ledger_stored(c, store_put_task(c->store, &t->row));
	return t->row.id;
}

int64_t task_meet(struct collector *c, struct loop *l, const struct inspector_task *seen,
		  enum store_task_kind kind)
{
	struct met_task *t, *known;

	if (!seen->address || l->feed) /* a ring has numbers of its own */
		return 0;
	t = task_new(l, l->id << 32 | (l->next_task + 1), seen, kind);
	if (!t)
		return 0;
	HASH_FIND(hh, l->tasks, t->key, t->size, known);
	if (known) {
		free(t);
		return known->row.id;
	}
	if (HASH_COUNT(l->tasks) >= TASKS_MAX) {
		known = l->tasks;
		HASH_DEL(l->tasks, known);
		free(known);
	}
	l->next_task++;
	return task_put(c, l, t);
}

void task_rename(struct collector *c, struct loop *l, int64_t id, const struct inspector_task *seen)
{
	struct met_task *t, *known, *renamed;

	for (t = l->tasks; t && t->row.id != id; t = t->hh.next)
		;
	renamed = t ? task_new(l, id, seen, t->row.kind) : NULL;
	if (!renamed)
		return;
	HASH_FIND(hh, l->tasks, renamed->key, renamed->size, known);
	if (known == t) {
		free(renamed);
		return;
	}
	HASH_DEL(l->tasks, t);
	free(t);
	if (!known) {
		task_put(c, l, renamed);
		return;
	}
	/* it was met by that name since, which stays what is met from now on */
	ledger_stored(c, store_put_task(c->store, &renamed->row));
	free(renamed);
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
		free(t);
	}
}
