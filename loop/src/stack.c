/* SPDX-License-Identifier: MIT */
/*
 * Maps and unmaps stacks. A frame larger than a page can step over the guard unless the program is
 * built with -fstack-clash-protection; the guard catches ordinary overflow.
 */
#include "stack.h"

#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void *stack_map(size_t size)
{
	size_t page = page_size();
	char *map = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	/* Guard markers leave neighbouring stacks one mapping; PROT_NONE makes two of each stack,
	 * and a process has 65,530 in all. */
	if (madvise(map, page, MADV_GUARD_INSTALL) < 0 && mprotect(map, page, PROT_NONE) < 0) {
		munmap(map, size + page);
		return NULL;
	}
	return map + page;
}

void stack_unmap(void *base, size_t size)
{
	size_t page = page_size();

#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(base, size);
#endif
	munmap((char *)base - page, size + page);
}
