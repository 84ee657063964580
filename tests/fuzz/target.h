/* SPDX-License-Identifier: MIT */
/* A target that maps one file, as the worker knows it. */
#ifndef LSC_TESTS_FUZZ_TARGET_H
#define LSC_TESTS_FUZZ_TARGET_H

#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "inspect/find.h"
#include "inspect/space.h"

#define TARGET_BASE	 0x7f0000000000ull
#define TARGET_ADDRESSES 8

static inline Elf *own_elf(void)
{
	static Elf *elf;

	if (elf)
		return elf;
	elf_version(EV_CURRENT);
	elf = elf_begin(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ELF_C_READ, NULL);
	FUZZ_MUST(elf);
	return elf;
}

/* size bytes of a file are mapped from offset on. */
static inline struct space *target_new(size_t size, uint64_t offset)
{
	const struct message_open target = {.pid = 1, .tid = 1};
	struct message_map m = {.flags = MESSAGE_MAP_FILE,
				.start = TARGET_BASE,
				.end = TARGET_BASE + (size | 4095) + 1,
				.offset = offset,
				.inode = 1};
	struct space *s = space_new(-1, -1, &target);

	FUZZ_MUST(s);
	FUZZ_MUST(space_add(s, &m, "/x", 2) == 0 && s->nfiles == 1);
	FUZZ_MUST(space_seal(s, own_elf()) == 0);
	return s;
}

/* Looks at addresses all over it, and for a symbol. */
static inline void target_look(struct space *s)
{
	struct space_file *f = &s->files[0];
	uint64_t size = f->piece.end - f->piece.start, address, length;

	space_begin(s, false);
	if (!space_need(s, f))
		return;
	FUZZ_MUST(strlen(f->head.build_id) < sizeof(f->head.build_id));
	for (size_t i = 0; i < TARGET_ADDRESSES; i++) {
		uint64_t at = TARGET_BASE + size * i / TARGET_ADDRESSES;
		const struct symbol *y = symbol_get(s, f, at);
		FUZZ_MUST(y && y->ncalls >= 1 && y->ncalls <= INDEX_CALLS_MAX);
		for (size_t k = 0; k < y->ncalls; k++)
			FUZZ_MUST(y->calls[k].line >= 0 && (y->calls[k].file || !y->calls[k].line));
		FUZZ_MUST(entry_find(&f->entries, at, 0) <= at);
	}
	if (find_symbol(s, "x", "main", &address, &length))
		FUZZ_MUST(length && address + length >= address);
}

#endif
