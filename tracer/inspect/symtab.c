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
					    .name = name,
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
