/* SPDX-License-Identifier: MIT */
/*
 * Where a V8 keeps what is read of it. Every build of it says so itself, in the constants that it
 * exports for debuggers of dead processes (`v8dbg_...`): nothing here depends on its version but
 * the names of a few of them.
 */
#ifndef LSC_INSPECT_V8LAYOUT_H
#define LSC_INSPECT_V8LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define V8LAYOUT_PREFIX "v8dbg_"

#define V8LAYOUT_OBJECT_MAX 256 /* offsets in objects are less */
#define V8LAYOUT_FRAME_MAX  256 /* and those in a frame not further below its pointer */

/* Offsets in bytes, of objects from their address less the tag. */
struct v8layout {
	/* tags and representations of values and of strings */
	int32_t smi_tag, smi_mask, smi_value_shift, smi_shift_size, heap_tag, tagged_size;
	int32_t first_nonstring, representation_mask, encoding_mask, one_byte;
	int32_t seq, cons, external, sliced, thin;
	/* types of objects */
	int32_t type_function, type_shared, type_script, type_scope_info, type_fixed_array,
		type_bytecode, type_oddball;
	int32_t first_context, last_context;
	/* a frame, from its frame pointer */
	int32_t fp_context, fp_function, fp_bytecode;
	int32_t irregexp; /* the mark of a regular expression's frame; -1: they have none (18) */
	/* objects */
	int32_t map, map_type;
	int32_t function_shared;
	int32_t shared_name, shared_script, shared_token, shared_flags;
	int32_t script_name, script_source, script_line_ends;
	int32_t string_length, one_byte_chars, two_byte_chars, cons_first, cons_second;
	int32_t sliced_parent, sliced_offset, thin_actual, external_resource;
	int32_t array_length, array_data;
	/* words of a ScopeInfo behind its map */
	int32_t scope_nlocals, scope_first_vars;
};

/* Makes all of them unknown. */
void v8layout_init(struct v8layout *l);

/* Takes the value of a constant, by its whole name; others than those above are left alone. */
bool v8layout_wants(const char *name);
void v8layout_set(struct v8layout *l, const char *name, int32_t value);

/* None is missing, and each may be what it should be: offsets lie within small objects and frames,
 * words have 64 bits, a small integer the upper half of one. */
bool v8layout_is_whole(const struct v8layout *l);

#endif
