/* SPDX-License-Identifier: MIT */
#include "inspect/symtab.h"

#include <stdlib.h>

static uint8_t binding_of(const GElf_Sym *sym)
{
	int binding = GELF_ST_BIND(sym->st_info);

	return binding == STB_LOCAL ? 0 : binding == STB_WEAK ? 1 : 2;
}

static bool is_wanted(const char *name, const GElf_Sym *sym, uint64_t address)
{
	int type = GELF_ST_TYPE(sym->st_info);

	return name && name[0] && sym->st_shndx != SHN_UNDEF && sym->st_size &&
	       address + sym->st_size > address && type != STT_SECTION && type != STT_FILE &&
	       type != STT_TLS;
}

static int by_start(const void *a, const void *b)
{
	const struct symtab_row *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->binding != y->binding)
		return x->binding < y->binding ? -1 : 1;
	return x->index < y->index ? 1 : -1; /* no two are the same */
}

void symtab_build(struct symtab *t, Dwfl_Module *mod)
{
	int n = dwfl_module_getsymtab(mod);
	uint64_t reach = 0;

	if (n <= 1)
		return;
	t->rows = malloc((size_t)n * sizeof(*t->rows));
	for (int i = 1; t->rows && i < n; i++) {
		GElf_Sym sym;
		GElf_Addr at;
		const char *name = dwfl_module_getsym_info(mod, i, &sym, &at, NULL, NULL, NULL);
		if (!is_wanted(name, &sym, at))
			continue;
		t->rows[t->n++] =
			(struct symtab_row){.start = at,
					    .end = at + sym.st_size,
					    .index = i,
					    .function = GELF_ST_TYPE(sym.st_info) == STT_FUNC,
					    .binding = binding_of(&sym)};
	}
	if (t->n)
		qsort(t->rows, t->n, sizeof(*t->rows), by_start);
	for (size_t i = 0; i < t->n; i++) {
		if (t->rows[i].end > reach)
			reach = t->rows[i].end;
		t->rows[i].reach = reach;
	}
}

void symtab_done(struct symtab *t)
{
	free(t->rows);
	*t = (struct symtab){0};
}

/* How many begin at or before the address. */
static size_t count_before(const struct symtab *t, uint64_t address)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->rows[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct symtab_row *symtab_find(const struct symtab *t, uint64_t address)
{
	for (size_t i = count_before(t, address); i-- > 0 && t->rows[i].reach > address;)
		if (t->rows[i].end > address)
			return &t->rows[i];
	return NULL;
}

const struct symtab_row *symtab_before(const struct symtab *t, uint64_t address)
{
	for (size_t i = count_before(t, address); i-- > 0;)
		if (t->rows[i].function)
			return &t->rows[i];
	return NULL;
}

const char *symtab_name(const struct symtab_row *row, Dwfl_Module *mod)
{
	GElf_Sym sym;
	GElf_Addr at;

	return row ? dwfl_module_getsym_info(mod, row->index, &sym, &at, NULL, NULL, NULL) : NULL;
}
