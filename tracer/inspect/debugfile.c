/* SPDX-License-Identifier: MIT */
/* Without a build id nothing is looked for: a checksum over all of the file would take too long. */
#include "inspect/debugfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "inspect/sidefile.h"

uint64_t debugfile_note(struct space_file *f, Elf *elf)
{
	size_t names;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Chdr packed;
	uint64_t size = 0;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return 0;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type == SHT_NOBITS)
			continue;
		f->has_symtab |= sh.sh_type == SHT_SYMTAB;
		const char *name = elf_strptr(elf, names, sh.sh_name);
		if (!name ||
		    (strncmp(name, ".debug_", 7) != 0 && strncmp(name, ".zdebug_", 8) != 0))
			continue;
		f->has_lines |= strcmp(strchr(name, '_'), "_line") == 0;
		uint64_t whole = sh.sh_size;
		if (sh.sh_flags & SHF_COMPRESSED && gelf_getchdr(scn, &packed))
			whole = packed.ch_size;
		size = whole > UINT64_MAX - size ? UINT64_MAX : size + whole;
	}
	return size;
}

static bool is_build(Elf *elf, const char *build_id)
{
	const void *bits;
	ssize_t n = dwelf_elf_gnu_build_id(elf, &bits);
	char text[SPACE_BUILD_ID_MAX];

	return space_build_id(bits, n, text) && strcmp(text, build_id) == 0;
}

/* Every stack has frames of the C library, whose lines say nothing that the names do not: 50 ms. */
static bool needs_lines(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash || strncmp(slash, "/libc.so.", 9) != 0;
}

/* Whether the file is that of f, and affordable. */
static bool check(struct space_file *f, const char *path, int fd)
{
	struct space_file found = *f;
	struct stat st;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	bool right = elf && is_build(elf, f->build_id);

	if (!right)
		f->space->debug_why = MESSAGE_WHY_BUILD;
	if (right) {
		uint64_t size = debugfile_note(&found, elf);
		if (!needs_lines(path)) {
			found.has_lines = f->has_lines;
			size = 0;
		}
		right = fstat(fd, &st) == 0 && size <= SIDEFILE_DEBUG_MAX &&
			space_spend(f->space, size + (uint64_t)st.st_size);
		if (!right)
			f->space->debug_why = MESSAGE_WHY_TOO_LARGE;
	}
	elf_end(elf);
	if (right)
		*f = found;
	return right;
}

int debugfile_find(struct space_file *f, const char *path, const char *link)
{
	struct space *s = f->space;
	char text[2 * MESSAGE_TEXT_MAX];
	size_t id_size = strlen(f->build_id), path_size = strnlen(path, MESSAGE_TEXT_MAX);
	size_t link_size = link ? strnlen(link, MESSAGE_TEXT_MAX) : 0;

	if (s->plain || !id_size || path_size == MESSAGE_TEXT_MAX || link_size == MESSAGE_TEXT_MAX)
		return -1;
	memcpy(text, path, path_size + 1);
	memcpy(text + path_size + 1, link ? link : "", link_size);
	for (enum message_place place = MESSAGE_PLACE_ID; place < MESSAGE_PLACE_MAP; place++) {
		bool by_link = place >= MESSAGE_PLACE_LINK;
		if (by_link && !link_size)
			break;
		int fd = sidefile_ask(s->broker, place, s->pid, by_link ? text : f->build_id,
				      by_link ? path_size + 1 + link_size : id_size);
		if (fd == -EFBIG)
			s->debug_why = MESSAGE_WHY_TOO_LARGE;
		if (fd < 0)
			continue;
		if (check(f, path, fd))
			return fd;
		lsc_closep(&fd);
	}
	return -1;
}
