/* SPDX-License-Identifier: MIT */
#include "inspect/srcline.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "base/cleanup.h"
#include "inspect/altlink.h"

static struct srcline_call line_of(Dwfl_Module *mod, uint64_t address)
{
	struct srcline_call call = {0};
	Dwfl_Line *line = dwfl_module_getsrc(mod, address);

	if (line)
		call.file = dwfl_lineinfo(line, NULL, &call.line, NULL, NULL, NULL);
	return call;
}

/* Where the inlined die was called. */
static struct srcline_call caller_of(Dwarf_Die *die, Dwarf_Files *files)
{
	struct srcline_call call = {0};
	Dwarf_Attribute attr;
	Dwarf_Word file, line;

	if (files && dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &file) == 0)
		call.file = dwarf_filesrc(files, file, NULL, NULL);
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &line) == 0 &&
	    line < INT32_MAX)
		call.line = (int)line;
	return call;
}

size_t srcline_find(struct elffile *f, uint64_t address, struct srcline_call ret[INDEX_CALLS_MAX])
{
	altlink_attach(f);
	struct srcline_call call = line_of(f->module, address);
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_module_addrdie(f->module, address, &bias);
	lsc_autofree Dwarf_Die *inner = NULL;
	lsc_autofree Dwarf_Die *scopes = NULL;
	Dwarf_Files *files = NULL;
	size_t nfiles, ncalls = 0;

	/* dwarf_getscopes() goes on with the scopes of the inlined function's definition; the
	 * scopes of its innermost die are those of the code. */
	int n = cu ? dwarf_getscopes(cu, address - bias, &inner) : 0;
	n = n > 0 ? dwarf_getscopes_die(&inner[0], &scopes) : 0;
	if (n > 0 && dwarf_getsrcfiles(cu, &files, &nfiles) != 0)
		files = NULL;
	for (int i = 0; i < n && ncalls < INDEX_CALLS_MAX - 1; i++) {
		int tag = dwarf_tag(&scopes[i]);
		if (tag == DW_TAG_subprogram) {
			call.function = dwarf_diename(&scopes[i]);
			break;
		}
		if (tag != DW_TAG_inlined_subroutine)
			continue;
		call.function = dwarf_diename(&scopes[i]);
		ret[ncalls++] = call;
		call = caller_of(&scopes[i], files);
	}
	ret[ncalls++] = call;
	return ncalls;
}
