/* SPDX-License-Identifier: MIT */
/* Places in the target's code, as its ring names them: each once, by an id. */
#ifndef LSC_TRACER_RING_SITE_H
#define LSC_TRACER_RING_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "ring.h"

#define RING_MAX_SITES 65536

struct ring_site {
	uint32_t id;
	int line;	      /* 0 unknown */
	const char *function; /* owns; NULL unknown */
	const char *file;     /* in the same block as function; NULL unknown */
	uint64_t stack_used;  /* bytes, the most of its tasks; 0: not measured */
	uint64_t stack_size;  /* ... of a stack of so many; 0 unknown */
	bool stack_news;      /* these two changed; for the caller to clear */
	UT_hash_handle hh;
};

struct ring_sites {		 /* all zero: none yet */
	struct ring_site *by_id; /* owns */
	size_t n;
};

/* NULL: not known. Borrowed for the life of s. */
const struct ring_site *ring_sites_find(const struct ring_sites *s, uint32_t id);
/* Takes a LSC_REC_SITE; a known id keeps its place. 0, -E2BIG or -ENOMEM. */
int ring_sites_put(struct ring_sites *s, const struct ring_record *rec);
/* Takes a LSC_REC_SITE_STACK. Of a site that is not known it comes again, behind its SITE. */
void ring_sites_stack(struct ring_sites *s, const struct ring_record *rec);
void ring_sites_done(struct ring_sites *s);

#endif
