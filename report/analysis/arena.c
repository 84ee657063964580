/* SPDX-License-Identifier: MIT */
/* Blocks of 64 KiB, larger ones on their own; the table of interned texts is uthash's. */
#include "analysis/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM	 1
#define uthash_nonfatal_oom(elt) ((elt)->lost = 1)
#include <uthash.h>

#define BLOCK_SIZE (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

struct arena_text {
	UT_hash_handle hh;
	int lost; /* the table had no room for it */
	char text[];
};

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
	size_t want;

	if (__builtin_mul_overflow(n, size, &want) || want > SIZE_MAX / 2)
		return NULL;
	want = (want + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < want) {
		size_t room = want > BLOCK_SIZE ? want : BLOCK_SIZE;

		b = calloc(1, sizeof(*b) + room);
		if (!b)
			return NULL;
		b->size = room;
		b->next = a->blocks;
		a->blocks = b;
	}
	void *p = (char *)b->data + b->used;
	b->used += want;
	return p;
}

int arena_keep(struct arena *a, const char **text)
{
	struct arena_text *t;

	if (!*text)
		return 0;
	size_t n = strlen(*text);
	HASH_FIND(hh, a->texts, *text, n, t);
	if (!t) {
		t = arena_alloc(a, 1, sizeof(*t) + n + 1);
		if (!t)
			return -ENOMEM;
		memcpy(t->text, *text, n + 1);
		HASH_ADD(hh, a->texts, text, n, t);
		if (t->lost)
			return -ENOMEM;
	}
	*text = t->text;
	return 0;
}

const char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *made = NULL;

	va_start(ap, fmt);
	int n = vasprintf(&made, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	const char *text = made;
	int r = arena_keep(a, &text);
	free(made);
	return r < 0 ? NULL : text;
}

void arena_done(struct arena *a)
{
	HASH_CLEAR(hh, a->texts);
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	a->texts = NULL;
}
