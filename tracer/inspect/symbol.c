/* SPDX-License-Identifier: MIT */
/* Names from .symtab or .dynsym, lines and inlined calls from DWARF. Runs in the worker alone. */
#include "inspect/symbol.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/space.h"

static size_t place_of(uint64_t address)
{
	return (address * 0x9e3779b97f4a7c15ull) >> 54;
}
_Static_assert(SYMBOL_CACHE == 1 << (64 - 54), "place_of() gives the top ten bits");

const struct symbol *symbol_cached(const struct symbol_cache *c, uint64_t address)
{
	const struct symbol *y = &c->symbols[place_of(address)];

	return y->address == address && address ? y : NULL;
}

static struct symbol_call line_of(Dwfl_Module *mod, uint64_t address)
{
	struct symbol_call call = {0};
	Dwfl_Line *line = dwfl_module_getsrc(mod, address);

	if (line)
		call.file = dwfl_lineinfo(line, NULL, &call.line, NULL, NULL, NULL);
	return call;
}

/* Where the inlined die was called. */
static struct symbol_call caller_of(Dwarf_Die *die, Dwarf_Files *files)
{
	struct symbol_call call = {0};
	Dwarf_Attribute attr;
	Dwarf_Word file, line;

	if (files && dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &file) == 0)
		call.file = dwarf_filesrc(files, file, NULL, NULL);
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &line) == 0 &&
	    line < INT32_MAX)
		call.line = (int)line;
	return call;
}

/* Fills y->calls up to the function that is there for real, whose name is left to the caller.
 * Without DWARF, or when it says nothing about the address, that is the only one. */
static void find_calls(struct symbol *y, Dwfl_Module *mod)
{
	struct symbol_call call = line_of(mod, y->address);
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_module_addrdie(mod, y->address, &bias);
	lsc_autofree Dwarf_Die *inner = NULL;
	lsc_autofree Dwarf_Die *scopes = NULL;
	Dwarf_Files *files = NULL;
	size_t nfiles;

	/* dwarf_getscopes() goes on with the scopes of the inlined function's definition; the
	 * scopes of its innermost die are those of the code. */
	int n = cu ? dwarf_getscopes(cu, y->address - bias, &inner) : 0;
	n = n > 0 ? dwarf_getscopes_die(&inner[0], &scopes) : 0;
	if (n > 0 && dwarf_getsrcfiles(cu, &files, &nfiles) != 0)
		files = NULL;
	y->ncalls = 0;
	for (int i = 0; i < n && y->ncalls < SYMBOL_CALLS_MAX - 1; i++) {
		int tag = dwarf_tag(&scopes[i]);
		if (tag == DW_TAG_subprogram) {
			call.function = dwarf_diename(&scopes[i]);
			break;
		}
		if (tag != DW_TAG_inlined_subroutine)
			continue;
		call.function = dwarf_diename(&scopes[i]);
		y->calls[y->ncalls++] = call;
		call = caller_of(&scopes[i], files);
	}
	y->calls[y->ncalls++] = call;
}

const struct symbol *symbol_resolve(struct symbol_cache *c, const struct space_file *file,
				    uint64_t address)
{
	Dwfl_Module *mod = file->module;

	struct symbol *y = &c->symbols[place_of(address)];
	GElf_Addr bias = 0;

	*y = (struct symbol){.address = address, .ncalls = 1};
	if (file->has_lines)
		find_calls(y, mod);
	const struct symtab_row *row = symtab_find(&file->symtab, address);
	if (row) {
		y->calls[y->ncalls - 1].function = symtab_name(row, mod);
		y->exported = !file->has_symtab && row->binding;
		y->entry = row->start;
	} else if (dwfl_module_getelf(mod, &bias)) {
		y->entry = entry_find(&file->entries, address, bias);
		y->near = file->has_symtab
				  ? NULL
				  : symtab_name(symtab_before(&file->symtab, address), mod);
	}
	for (size_t i = 0; i < y->ncalls; i++)
		if (!y->calls[i].file || y->calls[i].line < 0)
			y->calls[i].line = 0;
	return y;
}
