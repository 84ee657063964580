/* SPDX-License-Identifier: MIT */
/*
 * One row of offsets for each version; from 3.13 on the target brings its row along. A row counts
 * only for the exact size of _PyRuntime, and only if the thread states that it leads to point back
 * to their interpreter and carry thread numbers. Sources: the headers of each version, and for the
 * task, which no header has, Modules/_asynciomodule.c.
 */
#include "inspect/pylayout.h"

#include <string.h>

#include "base/cleanup.h"

#define HEX_MINOR(version) ((version) >> 16 & 0xff)
#define HEX_MAJOR(version) ((version) >> 24)
#define STATES_MAX	   16	     /* thread states that are looked at */
#define TID_MAX		   0x400000u /* PID_MAX_LIMIT */
#define GLIBC_TID	   0x2d0     /* of struct pthread on x86-64, since 2.3 */

/* What 3.8 to 3.10 have in common. */
#define UP_TO_310                                                                                  \
	.interpreters_head = 32, .interp_threads = 8, .gil_last_holder = 8, .state_next = 8,       \
	.state_interp = 16, .state_dict = 152, .state_id = 176, .state_id_hop = GLIBC_TID,         \
	.frames = true, .state_frame = 24, .frame_code = 32, .frame_previous = 24,                 \
	.code_first = 40, .code_file = 104, .code_name = 112, .code_table = 120, .gen_frame = 16,  \
	.text_ascii = 48, .text_wide = 72

/* What 3.11 and later have in common. */
#define SINCE_311                                                                                  \
	.gil_last_holder = 8, .state_next = 8, .state_interp = 16, .frames = true,                 \
	.frame_instr = 56, .frame_depth = 64, .frame_locals = 72, .code_file = 112,                \
	.code_name = 128, .code_table = 136, .function_closure = 72, .function_name = 32

static const struct pylayout layouts[] = {
	{.minor = 8,
	 .runtime_size = 1464,
	 .gil = 1152,
	 .interp_modules = 56,
	 .frame_instr = 104,
	 .task_coro = 112,
	 .task_state = 72,
	 .frame_depth = 72,
	 .frame_state = 116,
	 .frame_locals = 360,
	 .function_closure = 48,
	 .function_name = 64,
	 .type_keys = 872,
	 UP_TO_310},
	{.minor = 9,
	 .runtime_size = 656,
	 .gil = 352,
	 .interp_modules = 856,
	 .frame_instr = 104,
	 .task_coro = 152,
	 .task_state = 80,
	 .frame_depth = 72,
	 .frame_state = 116,
	 .frame_locals = 360,
	 .function_closure = 48,
	 .function_name = 64,
	 .type_keys = 864,
	 UP_TO_310},
	{.minor = 10,
	 .runtime_size = 672,
	 .gil = 352,
	 .interp_modules = 856,
	 .frame_instr = 96,
	 .task_coro = 160,
	 .task_state = 88,
	 .frame_depth = 80,
	 .frame_state = 108,
	 .frame_locals = 352,
	 .function_closure = 72,
	 .function_name = 32,
	 .type_keys = 872,
	 UP_TO_310},
	{.minor = 11,
	 .runtime_size = 166688,
	 .interpreters_head = 40,
	 .gil = 360,
	 .interp_threads = 16,
	 .interp_modules = 888,
	 .state_dict = 128,
	 .state_id = 160,
	 .state_cframe = 56,
	 .state_frame = 8,
	 .frame_code = 32,
	 .frame_previous = 48,
	 .frame_owner = 69,
	 .frame_entry = 68,
	 .code_first = 72,
	 .code_traceable = 168,
	 .code_bytes = 184,
	 .gen_frame = 80,
	 .task_coro = 136,
	 .task_state = 88,
	 .gen_state = 75,
	 .type_keys = 872,
	 .text_ascii = 48,
	 .text_wide = 72,
	 SINCE_311},
	{.minor = 12,
	 .runtime_size = 459944,
	 .interpreters_head = 40,
	 .interp_threads = 72,
	 .interp_gil = 384,
	 .interp_modules = 944,
	 .state_dict = 112,
	 .state_id = 144,
	 .state_cframe = 56,
	 .frame_previous = 8,
	 .frame_owner = 70,
	 .code_first = 68,
	 .code_traceable = 176,
	 .code_bytes = 192,
	 .gen_frame = 72,
	 .task_coro = 136,
	 .task_state = 88,
	 .gen_state = 67,
	 .type_keys = 880,
	 .text_ascii = 40,
	 .text_wide = 56,
	 SINCE_311},
};

/* struct _Py_DebugOffsets, in words, as 3.13 has them; the last four are of 3.14 and later. */
enum {
	DEBUG_COOKIE,
	DEBUG_VERSION,
	DEBUG_FREE_THREADED,
	DEBUG_RUNTIME_SIZE,
	DEBUG_INTERPRETERS_HEAD = 5,
	DEBUG_INTERP_THREADS = 9,
	DEBUG_INTERP_MODULES = 11,
	DEBUG_INTERP_CEVAL_GIL = 14,
	DEBUG_INTERP_GIL,
	DEBUG_INTERP_GIL_LOCKED = 17,
	DEBUG_INTERP_GIL_HOLDER,
	DEBUG_STATE_SIZE = 19,
	DEBUG_STATE_NEXT = 21,
	DEBUG_STATE_INTERP,
	DEBUG_STATE_FRAME,
	DEBUG_STATE_NATIVE_ID = 25,
	DEBUG_FRAME_PREVIOUS = 29,
	DEBUG_FRAME_CODE,
	DEBUG_FRAME_INSTR,
	DEBUG_FRAME_OWNER = 33,
	DEBUG_CODE_FILE = 35,
	DEBUG_CODE_QUALNAME = 37,
	DEBUG_CODE_TABLE,
	DEBUG_CODE_FIRST,
	DEBUG_CODE_BYTES = 43,
	DEBUG_OBJECT_TYPE = 45,
	DEBUG_TYPE_NAME = 47,
	DEBUG_DICT_KEYS = 57,
	DEBUG_BYTES_ITEMS = 66,
	DEBUG_TEXT_ASCII = 70,
	DEBUG_WORDS_313,
	DEBUG_GEN_FRAME = 75,
	DEBUG_WORDS
};
#define DEBUG_WORDS_MAX 103 /* with those that later versions have in between */

/* The words that a version has in between. Source: Include/internal/pycore_debug_offsets.h. */
static const uint8_t between_314[] = {10, 20, 21, 37, 38, 49, 62, 63, 64, 65};
static const uint8_t between_315[] = {10, 20, 21, 27, 28, 29, 34, 35, 36, 37, 38, 45, 46,
				      57, 64, 65, 66, 67, 74, 75, 76, 77, 93, 96, 97, 98};

static bool read_word(const struct cpython *py, uint64_t address, uint64_t *ret)
{
	return py->read(py->arg, address, ret, sizeof(*ret));
}

static bool layout_known(const struct cpython *py, struct pylayout *ret)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(layouts); i++) {
		const struct pylayout *l = &layouts[i];
		if (l->runtime_size != py->size)
			continue;
		if (py->version ? HEX_MAJOR(py->version) != 3 || HEX_MINOR(py->version) != l->minor
				: l->minor > 10)
			continue;
		*ret = *l;
		return true;
	}
	return false;
}

/* The words of a version in 3.13's order; 0 what it does not have. False: it has no such words. */
static bool read_debug_offsets(const struct cpython *py, uint64_t ret[DEBUG_WORDS])
{
	uint64_t raw[DEBUG_WORDS_MAX], head[2];
	const uint8_t *between = NULL;
	size_t nbetween = 0, skip = 0, n = DEBUG_WORDS;

	if (py->size < sizeof(raw) || !py->read(py->arg, py->address, head, sizeof(head)) ||
	    memcmp(&head[DEBUG_COOKIE], "xdebugpy", sizeof(head[0])) != 0 ||
	    head[DEBUG_VERSION] != py->version || HEX_MAJOR(py->version) != 3)
		return false;
	switch (HEX_MINOR(py->version)) {
	case 13:
		n = DEBUG_WORDS_313;
		break;
	case 14:
		between = between_314;
		nbetween = LSC_ARRAY_LEN(between_314);
		break;
	case 15:
		between = between_315;
		nbetween = LSC_ARRAY_LEN(between_315);
		break;
	default:
		return false;
	}
	if (!py->read(py->arg, py->address, raw, (n + nbetween) * sizeof(raw[0])))
		return false;
	memset(ret, 0, DEBUG_WORDS * sizeof(ret[0]));
	for (size_t i = 0; i < n; i++) {
		while (skip < nbetween && between[skip] == i + skip)
			skip++;
		ret[i] = raw[i + skip];
	}
	return true;
}

/* The places of frames and code as they are told. Those that are not told are of the build that
 * has the others where they are known. */
static void take_frames(const uint64_t *d, struct pylayout *l)
{
	bool since_314 = l->minor >= 14;
	uint32_t code_bytes = since_314 ? 208 : 200, gen_frame = 72;
	const struct {
		unsigned int word;
		uint64_t end; /* of what it lies in, less its own size */
	} fields[] = {
		{DEBUG_STATE_NEXT, PYLAYOUT_STATE_BYTES - 8},
		{DEBUG_STATE_INTERP, PYLAYOUT_STATE_BYTES - 8},
		{DEBUG_STATE_FRAME, PYLAYOUT_STATE_BYTES - 8},
		{DEBUG_FRAME_PREVIOUS, PYLAYOUT_FRAME_BYTES - 8},
		{DEBUG_FRAME_INSTR, PYLAYOUT_FRAME_BYTES - 8},
		{DEBUG_FRAME_OWNER, PYLAYOUT_FRAME_BYTES - 1},
		{DEBUG_CODE_FILE, code_bytes - 8},
		{DEBUG_CODE_QUALNAME, code_bytes - 8},
		{DEBUG_CODE_TABLE, code_bytes - 8},
		{DEBUG_CODE_FIRST, code_bytes - 8},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		if (!d[fields[i].word] || d[fields[i].word] > fields[i].end)
			return;
	if (d[DEBUG_FRAME_CODE] || d[DEBUG_OBJECT_TYPE] != 8 || d[DEBUG_TYPE_NAME] != 24 ||
	    d[DEBUG_DICT_KEYS] != 32 || d[DEBUG_BYTES_ITEMS] != 32 || d[DEBUG_TEXT_ASCII] != 40 ||
	    d[DEBUG_CODE_BYTES] != code_bytes || !d[DEBUG_INTERP_MODULES] ||
	    d[DEBUG_INTERP_MODULES] >= INSPECTOR_GIL_REACH ||
	    (since_314 ? d[DEBUG_GEN_FRAME] != gen_frame
		       : !d[DEBUG_STATE_SIZE] || d[DEBUG_STATE_SIZE] >= INSPECTOR_PLACE_REACH ||
				 d[DEBUG_STATE_SIZE] % 8))
		return;
	l->frames = true;
	l->interp_modules = (uint32_t)d[DEBUG_INTERP_MODULES];
	l->state_frame = (uint32_t)d[DEBUG_STATE_FRAME];
	l->frame_previous = (uint32_t)d[DEBUG_FRAME_PREVIOUS];
	l->frame_instr = (uint32_t)d[DEBUG_FRAME_INSTR];
	l->frame_owner = (uint32_t)d[DEBUG_FRAME_OWNER];
	l->code_file = (uint32_t)d[DEBUG_CODE_FILE];
	l->code_name = (uint32_t)d[DEBUG_CODE_QUALNAME];
	l->code_table = (uint32_t)d[DEBUG_CODE_TABLE];
	l->code_first = (uint32_t)d[DEBUG_CODE_FIRST];
	l->code_bytes = code_bytes;
	l->code_traceable = since_314 ? 192 : 184;
	l->state_loop = since_314 ? 0 : (uint32_t)d[DEBUG_STATE_SIZE]; /* follows PyThreadState */
	l->frame_depth = 64;
	l->frame_locals = since_314 ? 80 : 72;
	l->gen_frame = gen_frame;
	l->gen_state = 67;
	l->function_closure = 72;
	l->function_name = 32;
	l->type_keys = 880;
	l->task_coro = since_314 ? 0 : 120; /* _asyncio tells it: inspect/pyasyncio.h */
	l->task_state = since_314 ? 0 : 96;
	l->text_ascii = 40;
	l->text_wide = 56;
}

static enum message_why layout_told(const struct cpython *py, struct pylayout *ret)
{
	uint64_t d[DEBUG_WORDS];

	if (!read_debug_offsets(py, d))
		return MESSAGE_WHY_VERSION;
	if (d[DEBUG_FREE_THREADED] == 1)
		return MESSAGE_WHY_FREE_THREADED;
	if (d[DEBUG_FREE_THREADED] || d[DEBUG_RUNTIME_SIZE] != py->size)
		return MESSAGE_WHY_VERSION;
	const uint64_t fields[] = {
		d[DEBUG_INTERPRETERS_HEAD], d[DEBUG_INTERP_THREADS],	d[DEBUG_INTERP_CEVAL_GIL],
		d[DEBUG_INTERP_GIL],	    d[DEBUG_INTERP_GIL_HOLDER], d[DEBUG_INTERP_GIL_LOCKED],
		d[DEBUG_STATE_NEXT],	    d[DEBUG_STATE_INTERP],	d[DEBUG_STATE_NATIVE_ID],
	};
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		if (!fields[i] || fields[i] >= INSPECTOR_GIL_REACH || fields[i] % sizeof(uint64_t))
			return MESSAGE_WHY_VERSION;
	if (d[DEBUG_INTERP_GIL_HOLDER] <= d[DEBUG_INTERP_GIL] ||
	    d[DEBUG_INTERP_GIL_LOCKED] != d[DEBUG_INTERP_GIL_HOLDER] + sizeof(uint64_t))
		return MESSAGE_WHY_VERSION;
	*ret = (struct pylayout){
		.minor = HEX_MINOR(py->version),
		.runtime_size = py->size,
		.interpreters_head = (uint32_t)d[DEBUG_INTERPRETERS_HEAD],
		.interp_threads = (uint32_t)d[DEBUG_INTERP_THREADS],
		.interp_gil = (uint32_t)d[DEBUG_INTERP_CEVAL_GIL],
		.gil_last_holder = (uint32_t)(d[DEBUG_INTERP_GIL_HOLDER] - d[DEBUG_INTERP_GIL]),
		.state_next = (uint32_t)d[DEBUG_STATE_NEXT],
		.state_interp = (uint32_t)d[DEBUG_STATE_INTERP],
		.state_id = (uint32_t)d[DEBUG_STATE_NATIVE_ID],
	};
	take_frames(d, ret);
	return MESSAGE_WHY_NONE;
}

enum message_why pylayout_find(const struct cpython *py, struct pylayout *ret)
{
	return layout_known(py, ret) ? MESSAGE_WHY_NONE : layout_told(py, ret);
}

uint32_t pylayout_thread(const struct cpython *py, const struct pylayout *l, uint64_t state)
{
	uint32_t low;
	uint64_t id;

	if (!l->state_id_hop)
		return read_word(py, state + l->state_id, &id) && id <= TID_MAX ? (uint32_t)id : 0;
	return cpython_read_pointer(py, state + l->state_id, &id) && id &&
			       py->read(py->arg, id + l->state_id_hop, &low, sizeof(low)) &&
			       low <= TID_MAX
		       ? low
		       : 0;
}

/* All thread states belong to the interpreter, and one has a number: it may lack in one that is
 * about to start. */
static bool states_fit(const struct cpython *py, const struct pylayout *l, uint64_t interp)
{
	uint64_t state, owner;
	bool numbered = false;

	if (!cpython_read_pointer(py, interp + l->interp_threads, &state) || !state)
		return false;
	for (int i = 0; i < STATES_MAX && state; i++) {
		if (!cpython_read_pointer(py, state + l->state_interp, &owner) || owner != interp)
			return false;
		numbered |= pylayout_thread(py, l, state) != 0;
		if (!cpython_read_pointer(py, state + l->state_next, &state))
			return false;
	}
	return numbered;
}

uint64_t pylayout_interpreter(const struct cpython *py, const struct pylayout *l)
{
	uint64_t interp, main = py->address + l->interpreters_head + sizeof(uint64_t);

	return cpython_read_pointer(py, main, &interp) && interp && states_fit(py, l, interp)
		       ? interp
		       : 0;
}
