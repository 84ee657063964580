/* SPDX-License-Identifier: MIT */
/* Memory of many objects of one size, close together: few pages, and large ones where there are
 * many. Beside a sanitizer each is allocated by itself, so that a use after free is seen. */
#ifndef LSC_LOOP_SLAB_H
#define LSC_LOOP_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"

struct slab_pool {
	struct list roomy;    /* struct slab that can give an object */
	uint32_t object_size; /* whole lines of the cache */
	uint32_t count;	      /* slabs */
	uint32_t empty;	      /* of them, with no object given out */
	uint32_t keep;	      /* empty ones at most */
};

void slab_pool_init(struct slab_pool *pool, size_t object_size);

/* Releases what is empty. Objects that are out may still be freed; that releases the rest. */
void slab_pool_done(struct slab_pool *pool);

/* An object that begins with a line of the cache, with any content; NULL: out of memory. */
void *slab_alloc(struct slab_pool *pool);
void slab_free(struct slab_pool *pool, void *object);

#endif
