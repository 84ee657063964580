/* SPDX-License-Identifier: MIT */
/*
 * Names of the constants: tools/gen-postmortem-metadata.py of V8 10 to 13. What follows the last
 * "__" is the field's type, which changes from version to version; so only what is ahead of it
 * counts.
 */
#include "inspect/v8layout.h"

#include <string.h>

#include "base/cleanup.h"

#define UNKNOWN INT32_MIN

enum check { TAG, TYPE, FRAME, OBJECT, WORD, MARK };

struct constant {
	const char *name; /* behind the prefix; one that ends in "__" is followed by a type */
	size_t field;
	enum check check;
};

#define FIELD(f) offsetof(struct v8layout, f)

static const struct constant constants[] = {
	{"SmiTag", FIELD(smi_tag), TAG},
	{"SmiTagMask", FIELD(smi_mask), TAG},
	{"SmiValueShift", FIELD(smi_value_shift), TAG},
	{"SmiShiftSize", FIELD(smi_shift_size), TAG},
	{"HeapObjectTag", FIELD(heap_tag), TAG},
	{"TaggedSize", FIELD(tagged_size), TAG},
	{"FirstNonstringType", FIELD(first_nonstring), TYPE},
	{"StringRepresentationMask", FIELD(representation_mask), TYPE},
	{"StringEncodingMask", FIELD(encoding_mask), TYPE},
	{"OneByteStringTag", FIELD(one_byte), TYPE},
	{"SeqStringTag", FIELD(seq), TYPE},
	{"ConsStringTag", FIELD(cons), TYPE},
	{"ExternalStringTag", FIELD(external), TYPE},
	{"SlicedStringTag", FIELD(sliced), TYPE},
	{"ThinStringTag", FIELD(thin), TYPE},
	{"type_JSFunction__", FIELD(type_function), TYPE},
	{"type_SharedFunctionInfo__", FIELD(type_shared), TYPE},
	{"type_Script__", FIELD(type_script), TYPE},
	{"type_ScopeInfo__", FIELD(type_scope_info), TYPE},
	{"type_FixedArray__", FIELD(type_fixed_array), TYPE},
	{"type_BytecodeArray__", FIELD(type_bytecode), TYPE},
	{"type_Oddball__", FIELD(type_oddball), TYPE},
	{"FirstContextType", FIELD(first_context), TYPE},
	{"LastContextType", FIELD(last_context), TYPE},
	{"off_fp_context", FIELD(fp_context), FRAME},
	{"off_fp_function", FIELD(fp_function), FRAME},
	{"off_fp_bytecode_array", FIELD(fp_bytecode), FRAME},
	{"frametype_IrregexpFrame", FIELD(irregexp), MARK},
	{"class_HeapObject__map__", FIELD(map), OBJECT},
	{"class_Map__instance_type__", FIELD(map_type), OBJECT},
	{"class_JSFunction__shared__", FIELD(function_shared), OBJECT},
	{"class_SharedFunctionInfo__name_or_scope_info__", FIELD(shared_name), OBJECT},
	{"class_SharedFunctionInfo__script_or_debug_info__", FIELD(shared_script), OBJECT},
	{"class_SharedFunctionInfo__script__", FIELD(shared_script), OBJECT},
	{"class_SharedFunctionInfo__raw_function_token_offset__", FIELD(shared_token), OBJECT},
	{"class_SharedFunctionInfo__flags__", FIELD(shared_flags), OBJECT},
	{"class_Script__name__", FIELD(script_name), OBJECT},
	{"class_Script__source__", FIELD(script_source), OBJECT},
	{"class_Script__line_ends__", FIELD(script_line_ends), OBJECT},
	{"class_String__length__", FIELD(string_length), OBJECT},
	{"class_SeqOneByteString__chars__", FIELD(one_byte_chars), OBJECT},
	{"class_SeqTwoByteString__chars__", FIELD(two_byte_chars), OBJECT},
	{"class_ConsString__first__", FIELD(cons_first), OBJECT},
	{"class_ConsString__second__", FIELD(cons_second), OBJECT},
	{"class_SlicedString__parent__", FIELD(sliced_parent), OBJECT},
	{"class_SlicedString__offset__", FIELD(sliced_offset), OBJECT},
	{"class_ThinString__actual__", FIELD(thin_actual), OBJECT},
	{"class_ExternalString__resource__", FIELD(external_resource), OBJECT},
	{"class_FixedArrayBase__length__", FIELD(array_length), OBJECT},
	{"class_FixedArray__data__", FIELD(array_data), OBJECT},
	{"scopeinfo_idx_ncontextlocals", FIELD(scope_nlocals), WORD},
	{"scopeinfo_idx_first_vars", FIELD(scope_first_vars), WORD},
};

static int32_t *field(struct v8layout *l, const struct constant *c)
{
	return (int32_t *)((char *)l + c->field);
}

void v8layout_init(struct v8layout *l)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(constants); i++)
		*field(l, &constants[i]) = UNKNOWN;
	l->irregexp = -1;
}

static const struct constant *find(const char *name)
{
	if (strncmp(name, V8LAYOUT_PREFIX, strlen(V8LAYOUT_PREFIX)) != 0)
		return NULL;
	name += strlen(V8LAYOUT_PREFIX);
	for (size_t i = 0; i < LSC_ARRAY_LEN(constants); i++) {
		const char *own = constants[i].name;
		size_t n = strlen(own);
		bool typed = n > 2 && strcmp(own + n - 2, "__") == 0;
		if (typed ? strncmp(name, own, n) == 0 : strcmp(name, own) == 0)
			return &constants[i];
	}
	return NULL;
}

bool v8layout_wants(const char *name)
{
	return find(name);
}

void v8layout_set(struct v8layout *l, const char *name, int32_t value)
{
	const struct constant *c = find(name);

	if (c)
		*field(l, c) = value;
}

static bool is_sane(int32_t value, enum check check)
{
	switch (check) {
	case TAG:
		return value >= 0 && value < 64;
	case TYPE:
		return value >= 0 && value <= UINT16_MAX;
	case FRAME:
		return value < 0 && value >= -V8LAYOUT_FRAME_MAX && value % 8 == 0;
	case OBJECT:
		return value >= 0 && value < V8LAYOUT_OBJECT_MAX && value % 2 == 0;
	case WORD:
		return value > 0 && value < 16;
	case MARK:
		return value >= -1 && value < 256;
	}
	return false;
}

bool v8layout_is_whole(const struct v8layout *l)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(constants); i++) {
		int32_t value;
		memcpy(&value, (const char *)l + constants[i].field, sizeof(value));
		if (!is_sane(value, constants[i].check))
			return false;
	}
	return l->smi_tag == 0 && l->smi_mask == 1 && l->heap_tag == 1 &&
	       l->smi_value_shift + l->smi_shift_size == 32 && l->tagged_size == 8 &&
	       l->first_context <= l->last_context && l->scope_nlocals < l->scope_first_vars;
}
