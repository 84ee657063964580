/* SPDX-License-Identifier: MIT */
/* Memory for stacks, and what stands below each. */
#ifndef LSC_LOOP_STACK_H
#define LSC_LOOP_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames are larger under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_DEFAULT_SIZE (256u * 1024)
#else
#define STACK_DEFAULT_SIZE (64u * 1024)
#endif
#define STACK_MIN_SIZE (16u * 1024)
#define STACK_MAX_SIZE (1u << 30)
#define STACK_CANARY   0x5afe57acc0ffee00ull

/*
 *  base - page      base                    base + size
 *      | guard page | ............ <- grows down |
 *
 * The guard is a marker in the mapping (Linux 6.13), else a page of no access, which makes two
 * mappings of each stack: only half of the process's mappings (vm.max_map_count) are used up that
 * way. Beyond, which is said once, a canary in the lowest word stands in for it, and is looked at
 * when the stack is left.
 */
struct stack {
	char *base;
	size_t size; /* whole pages */
	bool paged;  /* guarded by a page of no access */
	bool canary; /* not guarded */
};

/* A fresh stack, all zero. 0 or -ENOMEM. */
int stack_map(struct stack *ret, size_t size);

/* 0; -ENOMEM when that would leave a hole in a mapping, and the process has no mapping to spare:
 * then it is as it was. */
int stack_unmap(const struct stack *stack);

/* False when the canary of an unguarded stack is dead: the stack has overflowed. */
static inline bool stack_is_sound(const struct stack *stack)
{
	return !stack->canary || *(const uint64_t *)stack->base == STACK_CANARY;
}

/* Whether the address lies in the guard of the stack, or in the page below it. */
bool stack_is_guard(const struct stack *stack, const void *address);

/* Of a stack whose lower part was zero: bytes from the lowest that was written up to the top; makes
 * what lies below the caller's frame zero again. From the stack itself. */
size_t stack_measure(const struct stack *stack);

/* The same of a stack that somebody else uses and does not run on now, which stays as it is. Pages
 * that are not in memory are not touched, so one that was swapped out counts as never written. */
size_t stack_used(const struct stack *stack);

/* For tests: kernels and limits that this machine does not have. SIZE_MAX: as many guard pages as
 * it allows. */
void stack_pretend(bool no_markers, size_t max_guards);

#endif
