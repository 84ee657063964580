/* SPDX-License-Identifier: MIT */
/* See slab.h. A slab is aligned to its size, so that an object's address tells its slab. */
#include "slab.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BY_MALLOC 1
#else
#define BY_MALLOC 0
#endif

#define LINE	  64u
#define SLAB_SIZE ((size_t)2 << 20) /* a huge page of x86-64 and, with 4 KiB pages, aarch64 */
#define KEEP	  16u

struct slab {
	struct list link; /* in slab_pool.roomy while it has room */
	void *returned;	  /* objects, each pointing to the next one */
	uint32_t used;
	uint32_t fresh; /* the first object that was never given out */
	uint32_t capacity;
};

/* The slab's own line of the cache comes first. */
#define HEADER_SIZE LINE
_Static_assert(sizeof(struct slab) <= HEADER_SIZE, "the header is one line");

void slab_pool_init(struct slab_pool *pool, size_t object_size)
{
	*pool = (struct slab_pool){.keep = KEEP};
	pool->object_size = (uint32_t)((object_size + LINE - 1) / LINE * LINE);
	list_init(&pool->roomy);
}

/* A mapping that begins at a multiple of its size. */
static void *map_aligned(void)
{
	char *map = mmap(NULL, 2 * SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	size_t before = -(uintptr_t)map % SLAB_SIZE;
	if (before > 0)
		munmap(map, before);
	munmap(map + before + SLAB_SIZE, SLAB_SIZE - before);
	return map + before;
}

static struct slab *make(struct slab_pool *pool)
{
	struct slab *slab = map_aligned();

	if (!slab)
		return NULL;
	/* A program with few tasks keeps to the pages that it touches; elsewhere it does no harm
	 * that the kernel knows no huge pages. */
	if (pool->count > 0)
		madvise(slab, SLAB_SIZE, MADV_HUGEPAGE);
	slab->capacity = (uint32_t)((SLAB_SIZE - HEADER_SIZE) / pool->object_size);
	list_append(&pool->roomy, &slab->link);
	pool->count++;
	pool->empty++;
	return slab;
}

/* One that would leave a hole for which the process has no mapping to spare stays. Apart from
 * slab_free(), which has no need of a frame but for this. */
static __attribute__((noinline)) void unmap(struct slab_pool *pool, struct slab *slab)
{
	struct list *prev = slab->link.prev, *next = slab->link.next;

	if (munmap(slab, SLAB_SIZE) < 0)
		return;
	prev->next = next;
	next->prev = prev;
	pool->count--;
	pool->empty--;
}

void *slab_alloc(struct slab_pool *pool)
{
	if (BY_MALLOC)
		return malloc(pool->object_size);
	struct slab *slab = list_empty(&pool->roomy)
				    ? make(pool)
				    : container_of(pool->roomy.next, struct slab, link);
	if (!slab)
		return NULL;
	void **object = slab->returned;
	if (object) {
		slab->returned = *object;
		__builtin_prefetch(*object, 1);
	} else {
		object = (void **)((char *)slab + HEADER_SIZE +
				   (size_t)slab->fresh++ * pool->object_size);
	}
	if (slab->used++ == 0)
		pool->empty--;
	if (slab->used == slab->capacity)
		list_remove(&slab->link);
	return object;
}

void slab_free(struct slab_pool *pool, void *object)
{
	if (BY_MALLOC) {
		free(object);
		return;
	}
	struct slab *slab = (struct slab *)((uintptr_t)object & ~(uintptr_t)(SLAB_SIZE - 1));
	*(void **)object = slab->returned;
	slab->returned = object;
	if (slab->used-- == slab->capacity)
		list_append(&pool->roomy, &slab->link);
	if (slab->used > 0)
		return;
	pool->empty++;
	if (pool->empty > pool->keep)
		unmap(pool, slab);
}

void slab_pool_done(struct slab_pool *pool)
{
	pool->keep = 0;
	for (struct list *l = pool->roomy.next, *next; l != &pool->roomy; l = next) {
		struct slab *slab = container_of(l, struct slab, link);

		next = l->next;
		if (slab->used == 0)
			unmap(pool, slab);
	}
}
