/* SPDX-License-Identifier: MIT */
/*
 * Maps and unmaps stacks. A frame larger than a page can step over the guard unless the program is
 * built with -fstack-clash-protection; the guard catches ordinary overflow.
 */
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "base/cleanup.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define DEFAULT_MAX_MAPS 65530u

/* Of the process; loops of several threads count together. */
static bool no_markers;
static size_t max_guards = SIZE_MAX; /* pages of no access; SIZE_MAX: not asked for yet */
static size_t guards;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t ask_max_guards(void)
{
	char text[24] = "";
	lsc_autoclose int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long maps = n > 0 ? strtoul(text, NULL, 10) : 0;

	/* Half of the mappings, two for each stack. */
	return (maps ? maps : DEFAULT_MAX_MAPS) / 4;
}

static bool guard_with_page(char *page, size_t size)
{
	size_t max = __atomic_load_n(&max_guards, __ATOMIC_RELAXED);

	if (max == SIZE_MAX) {
		max = ask_max_guards();
		__atomic_store_n(&max_guards, max, __ATOMIC_RELAXED);
	}
	if (__atomic_add_fetch(&guards, 1, __ATOMIC_RELAXED) <= max &&
	    mprotect(page, size, PROT_NONE) == 0)
		return true;
	__atomic_sub_fetch(&guards, 1, __ATOMIC_RELAXED);
	return false;
}

/* Not by printf(), which needs more room than the stack has that this may run on. */
static void tell_once(void)
{
	static const char text[] =
		"loopscope: half of vm.max_map_count is used up by stacks; further "
		"ones have no guard, and their overflow is found when the task "
		"suspends\n";
	static int told;

	if (__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED) == 0)
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

int stack_map(struct stack *ret, size_t size)
{
	size_t page = page_size();
	char *map = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -ENOMEM;
	*ret = (struct stack){.base = map + page, .size = size};
	if (!no_markers && madvise(map, page, MADV_GUARD_INSTALL) == 0)
		return 0;
	if (guard_with_page(map, page)) {
		ret->paged = true;
		return 0;
	}
	tell_once();
	ret->canary = true;
	*(uint64_t *)ret->base = STACK_CANARY;
	return 0;
}

int stack_unmap(const struct stack *stack)
{
	size_t page = page_size();

#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(stack->base, stack->size);
#endif
	if (munmap(stack->base - page, stack->size + page) < 0)
		return -ENOMEM;
	if (stack->paged)
		__atomic_sub_fetch(&guards, 1, __ATOMIC_RELAXED);
	return 0;
}

bool stack_is_guard(const struct stack *stack, const void *address)
{
	uintptr_t at = (uintptr_t)address, base = (uintptr_t)stack->base;

	return at < base && base - at <= 2 * page_size();
}

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#if !defined(VALGRIND_MAKE_MEM_DEFINED)
#define VALGRIND_MAKE_MEM_DEFINED(start, size) ((void)(start), (void)(size))
#endif

/* Room below the frame of stack_measure() that it may use itself. */
#define OWN_USE 1024u

/* The lowest word from begin on that was written; end when none was. */
__attribute__((no_sanitize("address"))) static volatile uint64_t *
find_written(volatile uint64_t *begin, const volatile uint64_t *end)
{
	/* What no frame has used yet is no error to read. */
	VALGRIND_MAKE_MEM_DEFINED((void *)begin, (const char *)end - (const char *)begin);
	while (begin < end && *begin == 0)
		begin++;
	return begin;
}

__attribute__((no_sanitize("address"))) size_t stack_measure(const struct stack *stack)
{
	volatile uint64_t *end =
		(volatile uint64_t *)((char *)__builtin_frame_address(0) - OWN_USE);
	volatile uint64_t *word =
		find_written((volatile uint64_t *)stack->base + stack->canary, end);
	size_t used = (size_t)(stack->base + stack->size - (char *)word);

	for (; word < end; word++)
		*word = 0;
	return used;
}

#define PAGES_ASKED 64 /* at once */

size_t stack_used(const struct stack *stack)
{
	char *at = stack->base, *top = stack->base + stack->size;
	unsigned char resident[PAGES_ASKED] = {0};
	size_t page = page_size(), left = 0, i = 0;

	for (; at < top; at += page, i++, left--) {
		if (left == 0) {
			left = (size_t)(top - at) / page;
			left = left < PAGES_ASKED ? left : PAGES_ASKED;
			i = 0;
			if (mincore(at, left * page, resident) < 0)
				return 0;
		}
		volatile uint64_t *end = (volatile uint64_t *)(at + page);
		volatile uint64_t *word = (volatile uint64_t *)at;
		word += stack->canary && at == stack->base;
		if (resident[i] & 1 && (word = find_written(word, end)) < end)
			return (size_t)(top - (char *)word);
	}
	return 0;
}

void stack_pretend(bool without_markers, size_t max)
{
	no_markers = without_markers;
	max_guards = max;
}
