/* SPDX-License-Identifier: MIT */
/*
 * Looks a name up among the symbols of those files whose own name holds a word: parsing all that a
 * target maps for one symbol would cost more than it is worth.
 */
#include "inspect/find.h"

#include <string.h>
#include <unistd.h>

#include "inspect/answer.h"

static const char *file_name(const struct space *s, size_t file)
{
	for (size_t i = 0; i < s->nmaps; i++) {
		const char *path = s->maps[i].file == (int)file ? s->maps[i].path : NULL;
		const char *slash = path ? strrchr(path, '/') : NULL;
		if (path)
			return slash ? slash + 1 : path;
	}
	return "";
}

static bool each_in(Dwfl_Module *mod, find_symbol_fn *fn, void *arg)
{
	int n = dwfl_module_getsymtab(mod);

	for (int i = 1; i < n; i++) {
		GElf_Sym sym;
		GElf_Addr address;
		const char *name =
			dwfl_module_getsym_info(mod, i, &sym, &address, NULL, NULL, NULL);
		if (name && sym.st_shndx != SHN_UNDEF && sym.st_size &&
		    address + sym.st_size >= address && fn(name, address, sym.st_size, arg))
			return true;
	}
	return false;
}

bool find_each(struct space *s, const char *file, find_symbol_fn *fn, void *arg)
{
	for (size_t i = 0; i < s->nfiles; i++)
		if (strstr(file_name(s, i), file) && each_in(s->files[i].module, fn, arg))
			return true;
	return false;
}

struct sought {
	const char *symbol;
	uint64_t address, size;
};

static bool is_sought(const char *name, uint64_t address, uint64_t size, void *arg)
{
	struct sought *sought = arg;

	if (strcmp(name, sought->symbol) != 0)
		return false;
	sought->address = address;
	sought->size = size;
	return true;
}

bool find_symbol(struct space *s, const char *file, const char *symbol, uint64_t *ret_address,
		 uint64_t *ret_size)
{
	struct sought sought = {.symbol = symbol};

	if (!find_each(s, file, is_sought, &sought))
		return false;
	*ret_address = sought.address;
	*ret_size = sought.size;
	return true;
}

static bool find_section_in(Dwfl_Module *mod, const char *section, uint64_t *ret_address,
			    uint64_t *ret_size)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(mod, &bias);
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return false;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;
		const char *name =
			gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;
		if (!name || !(sh.sh_flags & SHF_ALLOC) || strcmp(name, section) != 0)
			continue;
		*ret_address = sh.sh_addr + bias;
		*ret_size = sh.sh_size;
		return true;
	}
	return false;
}

bool find_section(struct space *s, const char *file, const char *section, uint64_t *ret_address,
		  uint64_t *ret_size)
{
	for (size_t i = 0; i < s->nfiles; i++)
		if (strstr(file_name(s, i), file) &&
		    find_section_in(s->files[i].module, section, ret_address, ret_size))
			return true;
	return false;
}

size_t find_run(struct space *s, const struct message_job *job, const char *names,
		unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer; /* 60 KiB; the worker has one thread */
	size_t word = strnlen(names, job->size);
	char byte;

	answer_init(&answer, job->cookie);
	if (!s)
		answer.head.why = MESSAGE_WHY_UNREADABLE;
	if (!s || word + 2 > job->size || names[job->size - 1])
		return answer_write(&answer, buf);
	if (s->mem >= 0 && pread(s->mem, &byte, 1, 0) == 0)
		answer.head.flags |= MESSAGE_RESULT_GONE;
	phase(MESSAGE_PHASE_INDEX, arg);
	find_symbol(s, names, names + word + 1, &answer.head.address, &answer.head.size);
	return answer_write(&answer, buf);
}
