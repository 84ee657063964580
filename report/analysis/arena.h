/* SPDX-License-Identifier: MIT */
/*
 * Memory of one analysis: handed out piece by piece, freed at once. Texts are interned, so that
 * equal texts are one pointer: sites and names compare by address.
 */
#ifndef ANALYSIS_ARENA_H
#define ANALYSIS_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *blocks;
	struct arena_text *texts;
};

/* n zeroed elements, aligned for any type; NULL out of memory or when n * size overflows. */
void *arena_alloc(struct arena *a, size_t n, size_t size);

/* Replaces *text by its interned copy; NULL stays NULL. 0 or -ENOMEM. */
int arena_keep(struct arena *a, const char **text);

/* Formats into an interned text. NULL out of memory. */
const char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void arena_done(struct arena *a);

#endif
