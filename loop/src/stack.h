/* SPDX-License-Identifier: MIT */
/* Stacks for coroutines, each above a guard page, and the pool that keeps finished ones warm. */
#ifndef LSC_LOOP_STACK_H
#define LSC_LOOP_STACK_H

#include <stddef.h>

/* Frames are larger under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_DEFAULT_SIZE (256u * 1024)
#else
#define STACK_DEFAULT_SIZE (64u * 1024)
#endif
#define STACK_MIN_SIZE (16u * 1024)
#define STACK_MAX_SIZE (1u << 30)

/*
 *  base - page      base                               base + size
 *      | guard page | ............ <- grows down, node |
 */
struct stack_pool {
	size_t size; /* of each stack, whole pages, without the guard */
	size_t page;
	struct stack_node *free; /* the latest first: its top is warm */
	size_t nfree;
};

void stack_pool_init(struct stack_pool *pool, size_t size);
void stack_pool_done(struct stack_pool *pool);

/* The base of a stack, or NULL when out of memory (or of mappings). */
void *stack_take(struct stack_pool *pool);
void stack_give(struct stack_pool *pool, void *base);

#endif
