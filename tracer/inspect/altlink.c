/* SPDX-License-Identifier: MIT */
/* libdw would open the file by itself; here it may not. */
#include "inspect/altlink.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "inspect/debugfile.h"
#include "inspect/sidefile.h"

/* Takes fd. False: it is not used, and f says why. */
static bool use(struct elffile *f, Dwarf *dwarf, const char *build_id, int fd)
{
	struct stat st;

	f->alt.fd = fd;
	f->alt.elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!f->alt.elf || !debugfile_is_build(f->alt.elf, build_id)) {
		f->debug_why = MESSAGE_WHY_BUILD;
	} else {
		bool symtab = false, lines = false;
		uint64_t size = debugfile_note(f->alt.elf, &symtab, &lines);
		if (fstat(fd, &st) == 0 && size <= SIDEFILE_DEBUG_MAX &&
		    elffile_spend(f, size + (uint64_t)st.st_size))
			f->alt.dwarf = dwarf_begin_elf(f->alt.elf, DWARF_C_READ, NULL);
		else
			f->debug_why = MESSAGE_WHY_TOO_LARGE;
	}
	if (f->alt.dwarf)
		dwarf_setalt(dwarf, f->alt.dwarf);
	else
		altlink_detach(f);
	return f->alt.dwarf;
}

/* By its build id as any debug file, then by the name that the link gives. */
static int ask(struct elffile *f, enum message_place place, const char *build_id, const char *name)
{
	char text[2 * MESSAGE_TEXT_MAX];
	size_t base = strlen(f->base) + 1, len = strnlen(name, MESSAGE_TEXT_MAX);

	if (place == MESSAGE_PLACE_CACHE && !f->cache)
		return -ENOENT;
	if (place != MESSAGE_PLACE_ALT && place != MESSAGE_PLACE_ALT_OURS)
		return sidefile_ask(f->broker, place, f->pid, build_id, strlen(build_id));
	if (len == MESSAGE_TEXT_MAX)
		return -ENAMETOOLONG;
	memcpy(text, f->base, base);
	memcpy(text + base, name, len);
	return sidefile_ask(f->broker, place, f->pid, text, base + len);
}

void altlink_attach(struct elffile *f)
{
	static const enum message_place places[] = {MESSAGE_PLACE_ID, MESSAGE_PLACE_ID_OURS,
						    MESSAGE_PLACE_ALT, MESSAGE_PLACE_ALT_OURS,
						    MESSAGE_PLACE_CACHE};
	char build_id[INDEX_BUILD_ID_MAX];
	Dwarf_Addr bias;
	const char *name;
	const void *bits;

	if (f->alt.searched || f->plain)
		return;
	f->alt.searched = true;
	Dwarf *dwarf = dwfl_module_getdwarf(f->module, &bias);
	ssize_t n = dwarf ? dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &bits) : 0;
	if (n <= 0 || !elffile_build_id(bits, n, build_id))
		return;
	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		int fd = ask(f, places[i], build_id, name);
		if (fd == -EFBIG)
			f->debug_why = MESSAGE_WHY_TOO_LARGE;
		if (fd == -ENOEXEC)
			f->debug_why = MESSAGE_WHY_BUILD;
		if (fd >= 0 && use(f, dwarf, build_id, fd))
			return;
	}
	if (!f->debug_why)
		f->debug_why = MESSAGE_WHY_NO_SHARED;
	memcpy(f->lacks, build_id, sizeof(f->lacks));
}

void altlink_detach(struct elffile *f)
{
	dwarf_end(f->alt.dwarf);
	elf_end(f->alt.elf);
	lsc_closep(&f->alt.fd);
	f->alt.dwarf = NULL;
	f->alt.elf = NULL;
	f->alt.fd = -1;
}
