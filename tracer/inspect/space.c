/* SPDX-License-Identifier: MIT */
/* Mappings and files of one target. Runs in the worker alone: everything here is hostile.
 */
#include "inspect/space.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/unwind.h"
#include "inspect/v8view.h"

#define PROGRAM_HEADERS_MAX 256
#define PAGE		    4096ull
#define ADDRESS_END	    (1ull << 47)

/* Debug information comes from the file itself; nothing is searched for. */
static int find_no_debuginfo(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base,
			     const char *file, const char *link, GElf_Word crc, char **ret)
{
	(void)mod, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)ret;
	return -1;
}

static const Dwfl_Callbacks callbacks = {.find_debuginfo = find_no_debuginfo};

struct space *space_new(int mem)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s)
		s->dwfl = dwfl_begin(&callbacks);
	if (!s || !s->dwfl) {
		free(s);
		lsc_closep(&mem);
		return NULL;
	}
	s->mem = mem;
	return s;
}

static void forget_languages(struct space *s)
{
	free(s->python);
	s->python = NULL;
	s->v8 = v8view_free(s->v8);
}

struct space *space_free(struct space *s)
{
	if (!s)
		return NULL;
	dwfl_end(s->dwfl);
	for (size_t i = 0; i < s->nmaps; i++)
		free(s->maps[i].path);
	free(s->maps);
	for (size_t i = 0; i < s->nfiles; i++)
		symtab_done(&s->files[i].symtab);
	free(s->files);
	forget_languages(s);
	lsc_closep(&s->mem);
	free(s);
	return NULL;
}

/* How far above its own addresses the file lies that is mapped by m. */
static int read_bias(int fd, const struct message_map *m, uint64_t *ret)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph[PROGRAM_HEADERS_MAX];

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.e_machine != EM_X86_64 || (e.e_type != ET_EXEC && e.e_type != ET_DYN) ||
	    e.e_phentsize != sizeof(ph[0]) || e.e_phnum > PROGRAM_HEADERS_MAX)
		return -ENOEXEC;
	ssize_t size = (ssize_t)(e.e_phnum * sizeof(ph[0]));
	if (pread(fd, ph, (size_t)size, (off_t)e.e_phoff) != size)
		return -ENOEXEC;
	for (int i = 0; i < e.e_phnum; i++) {
		const Elf64_Phdr *p = &ph[i];
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) ||
		    m->offset < (p->p_offset & ~(PAGE - 1)) ||
		    m->offset - (p->p_offset & ~(PAGE - 1)) >= p->p_filesz + PAGE)
			continue;
		*ret = m->start - m->offset + p->p_offset - p->p_vaddr;
		return 0;
	}
	return -ENOEXEC;
}

/* Takes fd. Gives the index of the file, or -1. */
static int add_file(struct space *s, const struct message_map *m, const char *path, int fd)
{
	uint64_t bias;

	if (read_bias(fd, m, &bias) < 0)
		goto not_ours;
	struct space_file *more = realloc(s->files, (s->nfiles + 1) * sizeof(*more));
	if (!more)
		goto not_ours;
	s->files = more;
	/* ET_EXEC ignores the bias, which is 0 then. fd belongs to the module from here. */
	Dwfl_Module *mod = dwfl_report_elf(s->dwfl, path, path, fd, bias, true);
	if (!mod)
		goto not_ours;
	s->files[s->nfiles] =
		(struct space_file){.dev = m->dev, .inode = m->inode, .bias = bias, .module = mod};
	return (int)s->nfiles++;
not_ours:
	lsc_closep(&fd);
	return -1;
}

int space_add(struct space *s, const struct message_map *m, const char *path, size_t path_len,
	      int fd)
{
	const struct space_map *last = s->nmaps ? &s->maps[s->nmaps - 1] : NULL;
	struct space_map map = {.start = m->start, .end = m->end, .offset = m->offset, .file = -1};

	if (s->nmaps >= MESSAGE_MAPS_MAX || m->start >= m->end || (last && m->start < last->end)) {
		lsc_closep(&fd);
		return 0;
	}
	struct space_map *more = realloc(s->maps, (s->nmaps + 1) * sizeof(*more));
	if (more)
		s->maps = more;
	if (more && path_len)
		map.path = strndup(path, path_len);
	if (!more || (path_len && !map.path)) {
		lsc_closep(&fd);
		return -ENOMEM;
	}
	if (fd >= 0)
		map.file = add_file(s, m, map.path, fd);
	else if (m->flags & MESSAGE_MAP_SAME_FILE && s->nfiles &&
		 s->files[s->nfiles - 1].inode == m->inode && s->files[s->nfiles - 1].dev == m->dev)
		map.file = (int)s->nfiles - 1;
	s->maps[s->nmaps++] = map;
	return 0;
}

int space_seal(struct space *s, Elf *vdso)
{
	if (dwfl_report_end(s->dwfl, NULL, NULL) != 0)
		return -EIO;
	return unwind_attach(s, vdso);
}

bool space_refresh(struct space *s, struct space *newer)
{
	if (s->nfiles != newer->nfiles)
		return false;
	for (size_t i = 0; i < s->nfiles; i++) {
		const struct space_file *a = &s->files[i], *b = &newer->files[i];
		if (a->dev != b->dev || a->inode != b->inode || a->bias != b->bias)
			return false;
	}
	struct space_map *maps = s->maps;
	size_t nmaps = s->nmaps;
	int mem = s->mem;
	s->maps = newer->maps;
	s->nmaps = newer->nmaps;
	s->mem = newer->mem;
	forget_languages(s); /* it may be the same program, but another process */
	newer->maps = maps;
	newer->nmaps = nmaps;
	newer->mem = mem;
	return true;
}

bool space_read(const struct space *s, uint64_t address, void *buf, size_t size)
{
	return s->mem >= 0 && address < ADDRESS_END &&
	       pread(s->mem, buf, size, (off_t)address) == (ssize_t)size;
}

const struct space_map *space_find(const struct space *s, uint64_t address)
{
	size_t low = 0, high = s->nmaps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (address >= s->maps[mid].end)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->nmaps && address >= s->maps[low].start ? &s->maps[low] : NULL;
}

static void read_sections(struct space_file *f, Elf *elf)
{
	size_t names;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		f->has_symtab |= sh.sh_type == SHT_SYMTAB;
		const char *name = elf_strptr(elf, names, sh.sh_name);
		f->has_lines |= name && (strcmp(name, ".debug_line") == 0 ||
					 strcmp(name, ".zdebug_line") == 0);
		if (name && strcmp(name, ".eh_frame_hdr") == 0)
			entry_table_read(scn, &sh, &f->entries);
	}
}

static void read_build_id(struct space_file *f)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bits;
	GElf_Addr address;
	int n = dwfl_module_build_id(f->module, &bits, &address);

	for (int i = 0; i < n && i < (int)(sizeof(f->build_id) - 1) / 2; i++) {
		f->build_id[2 * i] = digits[bits[i] >> 4];
		f->build_id[2 * i + 1] = digits[bits[i] & 15];
	}
}

void space_index(struct space_file *f)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(f->module, &bias);

	f->indexed = true;
	if (!elf)
		return;
	read_sections(f, elf);
	read_build_id(f);
	symtab_build(&f->symtab, f->module);
	dwfl_module_eh_cfi(f->module, &bias);
}
