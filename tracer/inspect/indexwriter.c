/* SPDX-License-Identifier: MIT */
/*
 * The ELF file in an index has all sections of the real one by name and address, but contents only
 * of those that unwinding reads; the program headers are the real ones, with the new place of
 * .eh_frame_hdr.
 */
#include "inspect/indexwriter.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/symtab.h"

#define SECTIONS_MAX 8192
#define HEADERS_MAX  256
#define BUFFER	     (64 * 1024)
#define ALIGN	     16

struct writer {
	int fd;
	uint64_t at; /* of the next byte */
	int error;
	size_t have;
	unsigned char buf[BUFFER];
};

static void flush(struct writer *w)
{
	size_t done = 0;

	while (done < w->have && !w->error) {
		ssize_t n = pwrite(w->fd, w->buf + done, w->have - done,
				   (off_t)(w->at - w->have + done));
		if (n <= 0)
			w->error = n < 0 ? -errno : -EIO;
		else
			done += (size_t)n;
	}
	w->have = 0;
}

static void put(struct writer *w, const void *data, size_t size)
{
	const unsigned char *p = data;

	if (size > INDEX_BYTES_MAX || w->at > INDEX_BYTES_MAX - size)
		w->error = -EFBIG;
	while (size && !w->error) {
		size_t n = size < BUFFER - w->have ? size : BUFFER - w->have;
		memcpy(w->buf + w->have, p, n);
		w->have += n;
		w->at += n;
		p += n;
		size -= n;
		if (w->have == BUFFER)
			flush(w);
	}
}

static void align(struct writer *w)
{
	static const char zeros[ALIGN];

	put(w, zeros, (ALIGN - w->at % ALIGN) % ALIGN);
}

static bool is_wanted(const char *name, const GElf_Shdr *sh)
{
	static const char *const wanted[] = {".eh_frame", ".eh_frame_hdr", ".debug_frame",
					     ".zdebug_frame"};

	for (size_t i = 0; name && i < LSC_ARRAY_LEN(wanted); i++)
		if (sh->sh_type != SHT_NOBITS && strcmp(name, wanted[i]) == 0)
			return true;
	return false;
}

/* Writes the contents of one section, if they are wanted, and notes in sh where they are now. */
static int put_section(struct writer *w, Elf_Scn *scn, size_t names, const char *name,
		       Elf64_Shdr *sh)
{
	GElf_Shdr real;

	if (!gelf_getshdr(scn, &real))
		return -ENOEXEC;
	*sh = (Elf64_Shdr){.sh_name = real.sh_name,
			   .sh_type = real.sh_type,
			   .sh_flags = real.sh_flags,
			   .sh_addr = real.sh_addr,
			   .sh_size = real.sh_size,
			   .sh_addralign = real.sh_addralign,
			   .sh_entsize = real.sh_entsize};
	Elf_Data *data = NULL;
	if (elf_ndxscn(scn) == names || is_wanted(name, &real))
		data = elf_rawdata(scn, NULL);
	if (!data || !data->d_buf || data->d_size != real.sh_size) {
		sh->sh_type = real.sh_type == SHT_NULL ? SHT_NULL : SHT_NOBITS;
		sh->sh_flags &= ~(uint64_t)SHF_COMPRESSED;
		return 0;
	}
	align(w);
	sh->sh_offset = w->at;
	put(w, data->d_buf, data->d_size);
	return 0;
}

/* Gives the section headers, which the caller frees, and their number. */
static int put_sections(struct writer *w, Elf *elf, Elf64_Shdr **ret, size_t *ret_n,
			size_t *ret_names)
{
	size_t n, names;
	Elf_Scn *scn = NULL;

	if (elf_getshdrnum(elf, &n) < 0 || elf_getshdrstrndx(elf, &names) < 0 || n > SECTIONS_MAX)
		n = 0;
	Elf64_Shdr *sh = calloc(n + 1, sizeof(*sh));
	if (!sh)
		return -ENOMEM;
	while (n && (scn = elf_nextscn(elf, scn))) {
		GElf_Shdr real;
		size_t i = elf_ndxscn(scn);
		const char *name =
			gelf_getshdr(scn, &real) ? elf_strptr(elf, names, real.sh_name) : NULL;
		int r = i < n ? put_section(w, scn, names, name, &sh[i]) : -ENOEXEC;
		if (r < 0) {
			free(sh);
			return r;
		}
	}
	*ret = sh;
	*ret_n = n;
	*ret_names = n ? names : 0;
	return 0;
}

static uint64_t place_of(const Elf64_Shdr *sh, size_t n, uint64_t address)
{
	for (size_t i = 0; i < n; i++)
		if (sh[i].sh_offset && sh[i].sh_addr == address)
			return sh[i].sh_offset;
	return 0;
}

/* Without sections the unwind information lies somewhere in the segment that its table lies in: all
 * of that is taken. Gives where the table is now; 0: there is none. */
static uint64_t put_segment(struct writer *w, Elf *elf, const Elf64_Phdr *ph, size_t n,
			    const Elf64_Phdr *table)
{
	for (size_t i = 0; i < n; i++) {
		const Elf64_Phdr *p = &ph[i];
		if (p->p_type != PT_LOAD || table->p_offset < p->p_offset ||
		    table->p_offset - p->p_offset >= p->p_filesz)
			continue;
		Elf_Data *data =
			elf_getdata_rawchunk(elf, (int64_t)p->p_offset, p->p_filesz, ELF_T_BYTE);
		if (!data || !data->d_buf)
			return 0;
		align(w);
		uint64_t at = w->at + (table->p_offset - p->p_offset);
		put(w, data->d_buf, data->d_size);
		return at;
	}
	return 0;
}

static int put_elf(struct writer *w, Elf *elf)
{
	lsc_autofree Elf64_Shdr *sh = NULL;
	Elf64_Phdr ph[HEADERS_MAX];
	GElf_Ehdr real;
	size_t nph, n, names;

	if (!gelf_getehdr(elf, &real) || gelf_getclass(elf) != ELFCLASS64 ||
	    elf_getphdrnum(elf, &nph) < 0 || nph > HEADERS_MAX)
		return -ENOEXEC;
	Elf64_Ehdr e = {.e_type = real.e_type,
			.e_machine = real.e_machine,
			.e_version = real.e_version,
			.e_entry = real.e_entry,
			.e_flags = real.e_flags,
			.e_ehsize = sizeof(e),
			.e_phentsize = sizeof(ph[0]),
			.e_phnum = (Elf64_Half)nph,
			.e_phoff = sizeof(e),
			.e_shentsize = sizeof(*sh)};
	memcpy(e.e_ident, real.e_ident, sizeof(e.e_ident));
	put(w, &e, sizeof(e));
	for (size_t i = 0; i < nph; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph[i]))
			return -ENOEXEC;
	}
	put(w, ph, nph * sizeof(ph[0]));
	int r = put_sections(w, elf, &sh, &n, &names);
	if (r < 0)
		return r;
	for (size_t i = 0; i < nph; i++)
		if (ph[i].p_type == PT_GNU_EH_FRAME)
			ph[i].p_offset = n ? place_of(sh, n, ph[i].p_vaddr)
					   : put_segment(w, elf, ph, nph, &ph[i]);
	align(w);
	e.e_shoff = n ? w->at : 0;
	e.e_shnum = (Elf64_Half)n;
	e.e_shstrndx = (Elf64_Half)names;
	put(w, sh, n * sizeof(*sh));
	align(w);
	flush(w);
	if (!w->error &&
	    (pwrite(w->fd, &e, sizeof(e), 0) != sizeof(e) ||
	     pwrite(w->fd, ph, nph * sizeof(ph[0]), sizeof(e)) != (ssize_t)(nph * sizeof(ph[0]))))
		w->error = -EIO;
	return w->error;
}

static size_t length_of(const char *name)
{
	return strnlen(name, MESSAGE_TEXT_MAX - 1);
}

static void put_symbols(struct writer *w, const struct symtab *t, struct index_head *head)
{
	uint64_t name = 0;

	head->rows = w->at;
	for (size_t i = 0; i < t->n && !w->error; i++) {
		const struct symtab_row *row = &t->rows[i];
		struct index_row out = {.start = row->start,
					.end = row->end,
					.reach = row->reach,
					.name = (uint32_t)name,
					.function = row->function,
					.binding = row->binding};
		put(w, &out, sizeof(out));
		name += length_of(row->name) + 1;
		head->nrows++;
		if (name > UINT32_MAX)
			w->error = -EFBIG;
	}
	head->names = w->at;
	head->names_size = name;
	for (size_t i = 0; i < t->n && !w->error; i++) {
		const char *text = t->rows[i].name;
		put(w, text, length_of(text));
		put(w, "", 1);
	}
	flush(w);
}

int indexwriter_run(struct elffile *f, int fd, struct index_head *ret)
{
	static struct writer w; /* an indexer has one thread */
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(f->module, &bias);
	struct symtab symbols = {0};

	w = (struct writer){.fd = fd};
	int r = elf ? put_elf(&w, elf) : -ENOEXEC;
	if (r < 0)
		return r;
	symtab_build(&symbols, f->module);
	*ret = (struct index_head){.elf_size = w.at,
				   .flags = (f->has_symtab ? INDEX_HAS_SYMTAB : 0) |
					    (f->has_lines ? INDEX_HAS_LINES : 0)};
	memcpy(ret->build_id, f->build_id, sizeof(ret->build_id));
	put_symbols(&w, &symbols, ret);
	symtab_done(&symbols);
	if (w.error)
		return w.error;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0
		       ? -errno
		       : 0;
}
