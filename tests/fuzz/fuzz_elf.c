/* SPDX-License-Identifier: MIT */
/*
 * A file that a target maps: where it lies, its build id, its table of functions, its symbols. What
 * libelf and libdw do with it happens, too; they have targets of their own elsewhere.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inspect/find.h"
#include "inspect/space.h"

#define BASE	  0x7f0000000000ull
#define ADDRESSES 8

static Elf *own_elf(void)
{
	static Elf *elf;

	if (elf)
		return elf;
	elf_version(EV_CURRENT);
	elf = elf_begin(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ELF_C_READ, NULL);
	FUZZ_MUST(elf);
	return elf;
}

static void look(struct space *s, size_t size)
{
	struct space_file *f = &s->files[0];
	uint64_t address, length;

	space_index(f);
	FUZZ_MUST(strlen(f->build_id) < sizeof(f->build_id));
	for (size_t i = 0; i < ADDRESSES; i++) {
		uint64_t at = BASE + size * i / ADDRESSES;
		const struct symbol *y = symbol_resolve(&s->symbols, f, at);
		FUZZ_MUST(y->ncalls >= 1 && y->ncalls <= SYMBOL_CALLS_MAX && y->entry <= at);
		for (size_t k = 0; k < y->ncalls; k++)
			FUZZ_MUST(y->calls[k].line >= 0);
		FUZZ_MUST(entry_find(&f->entries, at, 0) <= at);
	}
	if (find_symbol(s, "x", "main", &address, &length))
		FUZZ_MUST(length && address + length > address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct message_open target = {.pid = 1, .tid = 1};
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct fuzz_input tail = {data + (size ? size - 1 : 0), size ? 1 : 0};
	struct message_map m = {.start = BASE,
				.end = BASE + (size | 4095) + 1,
				.offset = (fuzz_take(&tail, 1) + 1) % 4 * 4096,
				.inode = 1};

	FUZZ_MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	struct space *s = space_new(-1, -1, &target);
	FUZZ_MUST(s);
	FUZZ_MUST(space_add(s, &m, "/x", 2, fd) == 0);
	if (space_seal(s, own_elf()) == 0 && s->nfiles)
		look(s, size);
	space_free(s);
	return 0;
}
