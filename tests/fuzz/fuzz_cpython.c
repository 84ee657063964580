/* SPDX-License-Identifier: MIT */
/*
 * CPython in memory, where some words are others than they should be. The input: a version, then
 * patches of (place, kind, value), so that it takes few bytes to turn a pointer into a near miss.
 */
#include "fuzz.h"

#include "inspect/pystack.h"
#include "pyimage.h"

#define READS_MAX 200000 /* a walk ends, whatever it meets */

static uint64_t take_value(struct fuzz_input *in, unsigned int kind)
{
	switch (kind) {
	case 0:
		return HEAP + fuzz_take(in, 2) % (HEAP_END - HEAP);
	case 1:
		return RUNTIME + fuzz_take(in, 3);
	case 2:
		return fuzz_take(in, 1);
	default:
		return fuzz_take(in, 8);
	}
}

static void patch(struct fuzz_input *in)
{
	while (in->left) {
		unsigned int kind = (unsigned int)fuzz_take(in, 1);
		uint64_t at = kind & 4 ? RUNTIME + fuzz_take(in, 3) : HEAP + fuzz_take(in, 2);
		uint64_t value = take_value(in, kind & 3);
		size_t size = kind & 8 ? 1 : sizeof(value);
		uint8_t *bytes = bytes_at(at, size);
		if (bytes)
			memcpy(bytes, &value, size);
	}
}

static void add_native(struct answer *a, const char *name)
{
	answer_frame(a)->function = answer_text(a, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer answer;
	static uint8_t packet[MESSAGE_MAX];
	static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
	struct fuzz_input in = {data, size};
	const struct version *v = &versions[fuzz_take(&in, 1) % VERSIONS];
	struct message_result result;
	struct inspector_gil gil = {0};
	struct pyview view = build(v);

	patch(&in);
	image.reads = 0;
	pyview_check(&view);
	answer_init(&answer, 1);
	for (int i = 0; i < (v->minor < 11 ? FRAMES : 2); i++)
		add_native(&answer, "_PyEval_EvalFrameDefault");
	if (!view.why)
		merge_python(&view, TID, NULL, &answer);
	if (cpython_find_gil(&view.py, &gil) == MESSAGE_WHY_NONE)
		FUZZ_MUST(gil.holder >= RUNTIME && gil.holder < RUNTIME + v->size);
	FUZZ_MUST(image.reads < READS_MAX);
	size_t n = answer_write(&answer, packet);
	FUZZ_MUST(message_result_read(packet, n, &result, frames) == 0);
	return 0;
}
