/* SPDX-License-Identifier: MIT */
/* Memory for stacks, each above a guard. */
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
 *  base - page      base                    base + size
 *      | guard page | ............ <- grows down |
 *
 * size is in whole pages. The base of a fresh stack, all zero, or NULL when out of memory (or of
 * mappings).
 */
void *stack_map(size_t size);
void stack_unmap(void *base, size_t size);

#endif
