/* SPDX-License-Identifier: MIT */
/*
 * Looks a name up among the symbols of those files whose own name holds a word: indexing all that a
 * target maps for one symbol would cost more than it is worth.
 */
#include "inspect/find.h"

#include <string.h>

#include "inspect/answer.h"

enum rank { RANK_BEGINS, RANK_HOLDS, RANKS };

/* A program or library of that name comes before what only has the word in it, as all modules of
 * CPython have. */
static enum rank rank_of(const struct space_file *f, const char *word)
{
	const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
	const char *at = strstr(name, word);

	if (!at)
		return RANKS;
	return at == name || (at == name + 3 && strncmp(name, "lib", 3) == 0) ? RANK_BEGINS
									      : RANK_HOLDS;
}

/* A piece that was mapped once more, as V8 does with its builtins, to have them near the code that
 * it makes: the file's data does not lie behind it. */
static bool is_part(const struct space *s, const struct space_file *f)
{
	for (size_t i = 0; i < s->nfiles; i++) {
		const struct message_piece *other = &s->files[i].piece;
		if (other->dev == f->piece.dev && other->inode == f->piece.inode &&
		    other->offset < f->piece.offset)
			return true;
	}
	return false;
}

/* Calls fn for these files, those first that fit best, until it says true, or one has no index. */
static bool each_file(struct space *s, const char *word,
		      bool (*fn)(const struct space_file *f, void *arg), void *arg)
{
	for (int rank = 0; rank < RANKS; rank++)
		for (size_t i = 0; i < s->nfiles && !space_wants(s); i++)
			if ((int)rank_of(&s->files[i], word) == rank && !is_part(s, &s->files[i]) &&
			    space_need(s, &s->files[i]) && fn(&s->files[i], arg))
				return true;
	return false;
}

struct each {
	find_symbol_fn *fn;
	void *arg;
	uint64_t bias;
};

static bool take_symbol(const char *name, const struct index_row *row, void *arg)
{
	struct each *e = arg;
	uint64_t address = row->start + e->bias;

	return row->end > row->start && address + (row->end - row->start) >= address &&
	       e->fn(name, address, row->end - row->start, e->arg);
}

static bool each_symbol(const struct space_file *f, void *arg)
{
	struct each *e = arg;

	e->bias = f->bias;
	return index_each(f->fd, &f->head, take_symbol, e);
}

bool find_each(struct space *s, const char *file, find_symbol_fn *fn, void *arg)
{
	struct each e = {.fn = fn, .arg = arg};

	return each_file(s, file, each_symbol, &e);
}

struct search {
	struct find_sought *sought;
	size_t n;
};

static bool note(const char *name, uint64_t address, uint64_t size, void *arg)
{
	struct search *search = arg;
	size_t missing = 0;

	for (size_t i = 0; i < search->n; i++) {
		struct find_sought *sought = &search->sought[i];
		if (!sought->size && strcmp(name, sought->symbol) == 0) {
			sought->address = address;
			sought->size = size;
		}
		missing += !sought->size;
	}
	return !missing;
}

static bool has_first(const struct space_file *f, void *arg)
{
	struct search *search = arg;
	struct each e = {.fn = note, .arg = search, .bias = f->bias};

	for (size_t i = 0; i < search->n; i++)
		search->sought[i].address = search->sought[i].size = 0;
	index_each(f->fd, &f->head, take_symbol, &e);
	return search->sought[0].size;
}

bool find_symbols(struct space *s, const char *file, struct find_sought *sought, size_t n)
{
	struct search search = {sought, n};

	return each_file(s, file, has_first, &search);
}

bool find_symbol(struct space *s, const char *file, const char *symbol, uint64_t *ret_address,
		 uint64_t *ret_size)
{
	struct find_sought sought = {.symbol = symbol};

	if (!find_symbols(s, file, &sought, 1))
		return false;
	*ret_address = sought.address;
	*ret_size = sought.size;
	return true;
}

struct section {
	const char *name;
	uint64_t address, size;
};

static bool has_section(const struct space_file *f, void *arg)
{
	struct section *section = arg;
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(f->module, &bias);
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return false;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;
		const char *name =
			gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;
		if (!name || !(sh.sh_flags & SHF_ALLOC) || strcmp(name, section->name) != 0)
			continue;
		section->address = sh.sh_addr + bias;
		section->size = sh.sh_size;
		return true;
	}
	return false;
}

bool find_section(struct space *s, const char *file, const char *section, uint64_t *ret_address,
		  uint64_t *ret_size)
{
	struct section sought = {.name = section};

	if (!each_file(s, file, has_section, &sought))
		return false;
	*ret_address = sought.address;
	*ret_size = sought.size;
	return true;
}

size_t find_run(struct space *s, const struct message_job *job, const char *names,
		unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer; /* 60 KiB; the worker has one thread */
	size_t word = strnlen(names, job->size);

	answer_init(&answer, job->cookie);
	if (!s)
		answer.head.why = MESSAGE_WHY_UNREADABLE;
	if (!s || word + 2 > job->size || names[job->size - 1])
		return answer_write(&answer, buf);
	if (space_is_gone(s))
		answer.head.flags |= MESSAGE_RESULT_GONE;
	phase(MESSAGE_PHASE_INDEX, arg);
	find_symbol(s, names, names + word + 1, &answer.head.address, &answer.head.size);
	return answer_write(&answer, buf);
}
