/* SPDX-License-Identifier: MIT */
/* A compiler of C++ writes a rule for each function; V8 writes none. */
#include "inspect/v8code.h"

#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

static bool is_node(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strstr(slash ? slash : path, V8VIEW_FILE);
}

static bool has_rule(const struct space_file *file, uint64_t address)
{
	Dwarf_Addr bias;
	Dwarf_Frame *frame = NULL;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(file->module, &bias);
	bool found = cfi && dwarf_cfi_addrframe(cfi, address - bias, &frame) == 0;

	free(frame);
	return found;
}

bool v8code_is(struct v8view *v, const struct space *s, const struct space_map *map,
	       uint64_t address)
{
	if (!map || (map->path && (map->file < 0 || !s->files[map->file].module)))
		return false;
	if (!map->path)
		return true;
	if (!is_node(map->path))
		return false;
	struct v8code *c = &v->codes[address * 0x9e3779b97f4a7c15ull >> (64 - V8VIEW_CODES_LOG)];
	if (c->address != address) {
		c->generated = !has_rule(&s->files[map->file], address);
		c->address = address;
	}
	return c->generated;
}
