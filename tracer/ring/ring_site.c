/* SPDX-License-Identifier: MIT */
#include "ring_site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring_id.h"

static struct ring_site *find(const struct ring_sites *s, uint32_t id)
{
	struct ring_site *site;

	HASH_FIND(hh, s->by_id, &id, sizeof(id), site);
	return site;
}

const struct ring_site *ring_sites_find(const struct ring_sites *s, uint32_t id)
{
	return find(s, id);
}

static void free_site(struct ring_site *site)
{
	free((char *)site->function);
	free(site);
}

/* "function\0file", not terminated. */
static int take_text(struct ring_site *site, const char *text, size_t size)
{
	char *copy = calloc(1, size + 1);
	const char *nul = memchr(text, '\0', size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, size);
	site->function = copy;
	site->file = nul && nul + 1 < text + size ? copy + (nul + 1 - text) : NULL;
	return 0;
}

int ring_sites_put(struct ring_sites *s, const struct ring_record *rec)
{
	if (find(s, rec->task))
		return 0;
	if (s->n >= RING_MAX_SITES)
		return -E2BIG;
	struct ring_site *site = calloc(1, sizeof(*site));
	if (!site)
		return -ENOMEM;
	site->id = rec->task;
	site->line = rec->arg64 <= INT32_MAX ? (int)rec->arg64 : 0;
	if (rec->text && take_text(site, rec->text, rec->text_size) < 0) {
		free_site(site);
		return -ENOMEM;
	}
	HASH_ADD(hh, s->by_id, id, sizeof(site->id), site);
	if (!site->hh.tbl) {
		free_site(site);
		return -ENOMEM;
	}
	s->n++;
	return 0;
}

void ring_sites_stack(struct ring_sites *s, const struct ring_record *rec)
{
	struct ring_site *site = find(s, rec->task);

	if (!site || rec->arg64 <= site->stack_used)
		return;
	site->stack_used = rec->arg64;
	site->stack_size = rec->arg8 > 0 && rec->arg8 < 64 ? 1ull << rec->arg8 : 0;
	site->stack_news = true;
}

void ring_sites_done(struct ring_sites *s)
{
	struct ring_site *site, *next;

	HASH_ITER(hh, s->by_id, site, next)
	{
		HASH_DEL(s->by_id, site);
		free_site(site);
	}
	s->n = 0;
}
