/* SPDX-License-Identifier: MIT */
/*
 * Maps, pools and unmaps stacks. A frame larger than a page can step over the guard unless the
 * program is built with -fstack-clash-protection; the guard catches ordinary overflow.
 */
#include "stack.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

/* Warm stacks kept for reuse; about 8 KiB of each are resident. */
#define KEEP_FREE 1024

/* Lies in the top bytes of a free stack, the ones that were touched for certain. */
struct stack_node {
	struct stack_node *next;
	void *base;
};

static struct stack_node *node_of(const struct stack_pool *pool, void *base)
{
	return (struct stack_node *)((char *)base + pool->size) - 1;
}

void stack_pool_init(struct stack_pool *pool, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	*pool = (struct stack_pool){.size = (size + page - 1) & ~(page - 1), .page = page};
}

static void unmap(const struct stack_pool *pool, void *base)
{
	munmap((char *)base - pool->page, pool->size + pool->page);
}

void stack_pool_done(struct stack_pool *pool)
{
	while (pool->free) {
		struct stack_node *node = pool->free;

		pool->free = node->next;
		unmap(pool, node->base);
	}
	pool->nfree = 0;
}

void *stack_take(struct stack_pool *pool)
{
	if (pool->free) {
		struct stack_node *node = pool->free;

		pool->free = node->next;
		pool->nfree--;
		return node->base;
	}
	char *map = mmap(NULL, pool->size + pool->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	/* Guard markers leave neighbouring stacks one mapping; PROT_NONE makes two of each stack,
	 * and a process has 65,530 in all. */
	if (madvise(map, pool->page, MADV_GUARD_INSTALL) < 0 &&
	    mprotect(map, pool->page, PROT_NONE) < 0) {
		munmap(map, pool->size + pool->page);
		return NULL;
	}
	return map + pool->page;
}

void stack_give(struct stack_pool *pool, void *base)
{
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(base, pool->size);
#endif
	if (pool->nfree >= KEEP_FREE) {
		unmap(pool, base);
		return;
	}
	struct stack_node *node = node_of(pool, base);
	*node = (struct stack_node){.next = pool->free, .base = base};
	pool->free = node;
	pool->nfree++;
}
