/* SPDX-License-Identifier: MIT */
/* Without a build id nothing is looked for: a checksum over all of the file would take too long. */
#include "inspect/debugfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "inspect/sidefile.h"

uint64_t debugfile_note(Elf *elf, bool *ret_symtab, bool *ret_lines)
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
		*ret_symtab |= sh.sh_type == SHT_SYMTAB;
		const char *name = elf_strptr(elf, names, sh.sh_name);
		if (!name ||
		    (strncmp(name, ".debug_", 7) != 0 && strncmp(name, ".zdebug_", 8) != 0))
			continue;
		*ret_lines |= strcmp(strchr(name, '_'), "_line") == 0;
		uint64_t whole = sh.sh_size;
		if (sh.sh_flags & SHF_COMPRESSED && gelf_getchdr(scn, &packed))
			whole = packed.ch_size;
		size = whole > UINT64_MAX - size ? UINT64_MAX : size + whole;
	}
	return size;
}

bool debugfile_is_build(Elf *elf, const char *build_id)
{
	const void *bits;
	ssize_t n = dwelf_elf_gnu_build_id(elf, &bits);
	char text[INDEX_BUILD_ID_MAX];

	return elffile_build_id(bits, n, text) && strcmp(text, build_id) == 0;
}

/* Every stack has frames of the C library, whose lines say nothing that the names do not: 50 ms. */
static bool needs_lines(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash || strncmp(slash, "/libc.so.", 9) != 0;
}

/* Whether the file is that of f, and affordable. */
static bool check(struct elffile *f, const char *path, int fd)
{
	bool has_symtab = f->has_symtab, has_lines = f->has_lines, unread = false;
	struct stat st;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	bool right = elf && debugfile_is_build(elf, f->build_id);

	if (!right)
		f->debug_why = MESSAGE_WHY_BUILD;
	if (right) {
		bool wants = needs_lines(path);
		uint64_t size = debugfile_note(elf, &has_symtab, wants ? &has_lines : &unread);
		if (!wants)
			size = 0;
		right = fstat(fd, &st) == 0 && size <= SIDEFILE_DEBUG_MAX &&
			elffile_spend(f, size + (uint64_t)st.st_size);
		if (!right)
			f->debug_why = MESSAGE_WHY_TOO_LARGE;
	}
	elf_end(elf);
	if (right) {
		f->has_symtab = has_symtab;
		f->has_lines = has_lines;
	}
	return right;
}

/* Where the file lies that was found. */
static void note_base(struct elffile *f, enum message_place place, const char *path)
{
	static const char *const forms[] = {
		[MESSAGE_PLACE_LINK] = "%.*s",
		[MESSAGE_PLACE_LINK_BELOW] = "%.*s/.debug",
		[MESSAGE_PLACE_LINK_GLOBAL] = SIDEFILE_DEBUG_ROOT "%.*s",
		[MESSAGE_PLACES - 1] = NULL,
	};
	const char *slash = strrchr(path, '/');

	if (!forms[place])
		snprintf(f->base, sizeof(f->base), SIDEFILE_DEBUG_ROOT "/.build-id/%.2s",
			 f->build_id);
	else
		snprintf(f->base, sizeof(f->base), forms[place], slash ? (int)(slash - path) : 0,
			 path);
}

int debugfile_find(struct elffile *f, const char *path, const char *link)
{
	static const enum message_place places[] = {
		MESSAGE_PLACE_ID,	  MESSAGE_PLACE_ID_OURS,     MESSAGE_PLACE_LINK,
		MESSAGE_PLACE_LINK_BELOW, MESSAGE_PLACE_LINK_GLOBAL, MESSAGE_PLACE_CACHE};
	char text[2 * MESSAGE_TEXT_MAX];
	size_t id_size = strlen(f->build_id), path_size = strnlen(path, MESSAGE_TEXT_MAX);
	size_t link_size = link ? strnlen(link, MESSAGE_TEXT_MAX) : 0;

	if (f->plain || !id_size || path_size == MESSAGE_TEXT_MAX || link_size == MESSAGE_TEXT_MAX)
		return -1;
	memcpy(text, path, path_size + 1);
	memcpy(text + path_size + 1, link ? link : "", link_size);
	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		enum message_place place = places[i];
		bool by_link = place >= MESSAGE_PLACE_LINK && place <= MESSAGE_PLACE_LINK_GLOBAL;
		if ((by_link && !link_size) || (place == MESSAGE_PLACE_CACHE && !f->cache))
			continue;
		int fd = sidefile_ask(f->broker, place, f->pid, by_link ? text : f->build_id,
				      by_link ? path_size + 1 + link_size : id_size);
		if (fd == -EFBIG)
			f->debug_why = MESSAGE_WHY_TOO_LARGE;
		if (fd == -ENOEXEC)
			f->debug_why = MESSAGE_WHY_BUILD;
		if (fd < 0)
			continue;
		if (check(f, path, fd)) {
			note_base(f, place, path);
			return fd;
		}
		lsc_closep(&fd);
	}
	memcpy(f->lacks, f->build_id, sizeof(f->lacks));
	return -1;
}
