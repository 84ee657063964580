/* SPDX-License-Identifier: MIT */
/*
 * A V8 in memory, where some words are others than they should be: of its heap, of its stack, of
 * the constants that it exports, of the native walk. The input: a version, how the walk was made,
 * whether something is inlined, then patches of (kind, place, value).
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "inspect/v8function.h"
#include "inspect/v8inline.h"
#include "v8image.h"

#define READS_MAX 20000 /* a walk ends, whatever it meets */
#define HEAP_USED (V8_HEAP + 0x1000)

static uint64_t take_value(struct fuzz_input *in, unsigned int kind)
{
	static const uint64_t odd[] = {0, 1, UINT64_MAX, 1ull << 46 | 1, 0x7fffffff00000000};

	switch (kind) {
	case 0:
		return HEAP_USED + fuzz_take(in, 2) % v8_image.used;
	case 1:
		return fuzz_take(in, 4) << 32;
	case 2:
		return odd[fuzz_take(in, 1) % LSC_ARRAY_LEN(odd)];
	default:
		return fuzz_take(in, 8);
	}
}

static void patch_place(struct v8walk *walk, uint64_t which, uint64_t value)
{
	struct v8place *p = &walk->places[which % V8_FUNCTIONS];
	uint64_t *const words[] = {&p->fp, &p->function, &p->context, &p->bytecode};

	*words[which / V8_FUNCTIONS % LSC_ARRAY_LEN(words)] = value;
}

static void patch(struct fuzz_input *in, struct v8layout *l, struct v8walk *walk)
{
	while (in->left) {
		unsigned int kind = (unsigned int)fuzz_take(in, 1);
		uint64_t at = fuzz_take(in, 2), value = take_value(in, kind & 3);
		size_t bytes = kind & 4 ? 1 : 8;
		switch (kind >> 4 & 3) {
		case 0:
		case 1:
			memcpy(v8_image.heap + (HEAP_USED - V8_HEAP) + at % v8_image.used, &value,
			       bytes);
			break;
		case 2:
			memcpy(v8_image.stack + at % (sizeof(v8_image.stack) - 7), &value, bytes);
			break;
		default:
			if (kind & 8)
				patch_place(walk, at, value);
			else
				((int32_t *)l)[at % (sizeof(*l) / sizeof(int32_t))] =
					(int32_t)value;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer answer;
	static struct v8walk walk;
	static uint8_t packet[MESSAGE_MAX];
	static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
	static const size_t inlined[] = {3, 0, 1, 1};
	struct fuzz_input in = {data, size};
	struct v8view view = v8_build(&v8_versions[fuzz_take(&in, 1) % V8_VERSIONS]);
	unsigned int how = (unsigned int)fuzz_take(&in, 1);
	struct message_result result;

	v8_walk(&walk, how & 1, how & 2);
	if (how & 4)
		v8_inline(&walk, 2, inlined, 1 + (how >> 4) % LSC_ARRAY_LEN(inlined), how & 8);
	patch(&in, &view.layout, &walk);
	if (!v8layout_is_whole(&view.layout))
		return 0;
	answer_init(&answer, 1);
	for (int again = 0; again < 2; again++) { /* from memory, and known already */
		v8_image.reads = 0;
		v8stack_judge(&view, &walk, &answer);
		FUZZ_MUST(v8_image.reads < READS_MAX);
	}
	for (size_t i = 0; i < walk.n; i++)
		if (walk.places[i].kind == V8PLACE_FRAME)
			*answer_frame(&answer) = walk.places[i].frame;
	FUZZ_MUST(walk.ninlined <= V8INLINE_MAX * walk.n);
	for (size_t i = 0; i < walk.ninlined; i++) {
		struct message_frame *frame = answer_frame(&answer);
		if (frame)
			*frame = walk.inlined[i];
	}
	size_t n = answer_write(&answer, packet);
	FUZZ_MUST(message_result_read(packet, n, &result, frames) == 0);
	v8function_forget(&view);
	return 0;
}
