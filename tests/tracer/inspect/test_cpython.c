/* SPDX-License-Identifier: MIT */
/* Where CPython's lock lies: in memory as each version lays it out, and in memory that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/cpython.h"

#define RUNTIME	 0x700000000000ull /* _PyRuntime; in 3.12 and later the interpreter lies in it */
#define HEAP	 0x600000000000ull
#define HEAP_END (HEAP + 0x10000)
#define INTERP	 0x1000 /* offset of the interpreter, in either */
#define STATE	 (HEAP + 0x8000)
#define STATES	 3
#define TID	 4242

struct version {
	unsigned int minor;
	uint64_t size;
	uint32_t main, gil,
		threads; /* gil: last_holder, in _PyRuntime or behind the interpreter's pointer */
	uint32_t gil_pointer, id, hop;
};

static const struct version versions[] = {
	{8, 1464, 40, 1160, 8, 0, 176, 0x2d0},
	{9, 656, 40, 360, 8, 0, 176, 0x2d0},
	{10, 672, 40, 360, 8, 0, 176, 0x2d0},
	{11, 166688, 48, 368, 16, 0, 160, 0},
	{12, 459944, 48, INTERP + 1048, 72, 384, 144, 0},
	{13, 283320, 640, INTERP + 7760, 7344, 16, 160, 0},
	{14, 316616, 816, INTERP + 7768, 7344, 16, 160, 0},
	{15, 346568, 944, INTERP + 7744, 7336, 16, 184, 0},
};

/* A process in little: _PyRuntime, and a heap with thread states. */
static struct image {
	const struct version *v;
	uint64_t interp;
	uint8_t runtime[460000], heap[HEAP_END - HEAP];
	unsigned int reads;
} image;

static uint8_t *bytes_at(uint64_t address, size_t size)
{
	if (address >= RUNTIME && address - RUNTIME <= image.v->size &&
	    size <= image.v->size - (address - RUNTIME))
		return image.runtime + (address - RUNTIME);
	if (address >= HEAP && address < HEAP_END && size <= HEAP_END - address)
		return image.heap + (address - HEAP);
	return NULL;
}

static bool read_image(void *arg, uint64_t address, void *buf, size_t size)
{
	const uint8_t *at = bytes_at(address, size);

	(void)arg;
	image.reads++;
	if (at)
		memcpy(buf, at, size);
	return at != NULL;
}

static void put(uint64_t address, uint64_t value)
{
	memcpy(bytes_at(address, sizeof(value)), &value, sizeof(value));
}

static uint64_t state_at(int i)
{
	return STATE + (uint64_t)i * 0x200;
}

/* struct _Py_DebugOffsets, in the order of its fields. */
static void put_debug_offsets(const struct version *v)
{
	const uint64_t fields[] = {v->minor << 16 | 3u << 24,
				   0,
				   v->size,
				   600,
				   v->main - 8u,
				   200000,
				   7280,
				   7264,
				   v->threads};
	const uint64_t interp[] = {7500,
				   7656,
				   7664,
				   7672,
				   v->gil_pointer,
				   v->gil - 8u - INTERP,
				   0,
				   v->gil + 8u - INTERP,
				   v->gil - INTERP};
	const uint64_t state[] = {300, 0, 8, 16, 72}, ids[] = {152, v->id};
	uint64_t at = RUNTIME;

	memcpy(bytes_at(at, 8), "xdebugpy", 8);
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		put(at += 8, fields[i]);
	if (v->minor >= 14)
		put(at += 8, v->threads + 8); /* threads.main */
	for (size_t i = 0; i < LSC_ARRAY_LEN(interp); i++)
		put(at += 8, interp[i]);
	if (v->minor >= 14)
		for (int i = 0; i < 2; i++)
			put(at += 8, 10000); /* code_object_generation, tlbc_generation */
	for (size_t i = 0; i < LSC_ARRAY_LEN(state); i++)
		put(at += 8, state[i]);
	if (v->minor >= 15)
		for (int i = 0; i < 3; i++)
			put(at += 8, 80); /* base_frame, last_profiled_frame and its number */
	for (size_t i = 0; i < LSC_ARRAY_LEN(ids); i++)
		put(at += 8, ids[i]);
}

static struct cpython build(const struct version *v)
{
	memset(&image, 0, sizeof(image));
	image.v = v;
	image.interp = (v->minor >= 12 ? RUNTIME : HEAP) + INTERP;
	if (v->minor >= 13)
		put_debug_offsets(v);
	put(RUNTIME + v->main, image.interp);
	put(image.interp + v->threads, state_at(0));
	if (v->gil_pointer)
		put(image.interp + v->gil_pointer, RUNTIME + v->gil - 8);
	put(RUNTIME + v->gil, state_at(1));
	put(RUNTIME + v->gil + 8, 1);
	for (int i = 0; i < STATES; i++) {
		uint64_t thread = HEAP + 0x4000 + (uint64_t)i * 0x400;
		put(state_at(i) + 8, i + 1 < STATES ? state_at(i + 1) : 0);
		put(state_at(i) + 16, image.interp);
		put(state_at(i) + v->id, v->hop ? thread : TID + (uint64_t)i);
		if (v->hop)
			put(thread + v->hop, TID + (uint64_t)i);
	}
	return (struct cpython){.address = RUNTIME,
				.size = v->size,
				.version = v->minor > 10 ? 3u << 24 | v->minor << 16 : 0,
				.read = read_image};
}

static void the_lock_of_each_version_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct cpython py = build(v);
		struct inspector_gil gil = {0};

		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
		assert_int_equal(gil.holder, RUNTIME + v->gil);
		assert_int_equal(gil.id_offset, v->id);
		assert_int_equal(gil.id_hop, v->hop);
		put(RUNTIME + v->gil, 0); /* nobody has held it yet */
		put(RUNTIME + v->gil + 8, 0);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
	}
}

static void another_size_or_version_is_not_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct cpython py = build(&versions[i]), other;
		struct inspector_gil gil = {0};

		other = py;
		other.size -= 8;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		other = py;
		other.version = 3u << 24 | 16u << 16;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		other.version = py.version ? 0 : 3u << 24 | 11u << 16;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		assert_int_equal(gil.holder, 0);
	}
}

static void without_a_lock_there_is_none(void **state)
{
	(void)state;
	struct cpython py = build(&versions[5]);
	struct inspector_gil gil = {0};

	put(RUNTIME + 16, 1); /* free-threaded */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_FREE_THREADED);
	put(RUNTIME + 16, 2);
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_VERSION);
	py = build(&versions[3]);
	put(RUNTIME + versions[3].gil + 8, UINT32_MAX); /* not made yet */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
	py = build(&versions[3]);
	put(RUNTIME + versions[3].gil, 0); /* held by nobody */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
}

static void thread_states_must_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct inspector_gil gil = {0};
		struct cpython py = build(v);

		put(state_at(2) + 16, image.interp + 64); /* another interpreter's */
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = build(v);
		put(state_at(0) + v->id, 0); /* one about to start has no number yet */
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
		for (int k = 0; k < STATES; k++)
			put(state_at(k) + v->id, 1ull << 32);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = build(v);
		put(image.interp + v->threads, 0);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = build(v);
		put(state_at(2) + 8, state_at(0)); /* without an end */
		image.reads = 0;
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
		assert_in_range(image.reads, 1, 200);
	}
}

static void the_lock_must_lie_in_the_runtime(void **state)
{
	(void)state;
	static const uint64_t elsewhere[] = {0, RUNTIME - 16, HEAP + 0x100, UINT64_MAX - 7};

	for (size_t i = 4; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		for (size_t k = 0; k < LSC_ARRAY_LEN(elsewhere) + 1; k++) {
			struct cpython py = build(v);
			struct inspector_gil gil = {0};
			put(image.interp + v->gil_pointer,
			    k < LSC_ARRAY_LEN(elsewhere) ? elsewhere[k] : RUNTIME + v->size - 16);
			assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
			assert_int_equal(gil.holder, 0);
		}
	}
}

/* Whatever a word holds: a place within the runtime, or none. */
static void no_word_of_the_target_does_harm(void **state)
{
	(void)state;
	static const uint64_t hostile[] = {
		0,	    1,		 UINT64_MAX,  INT64_MAX,    UINT64_MAX - 7,
		1ull << 47, RUNTIME + 1, RUNTIME - 8, HEAP_END - 8, HEAP_END,
		0xdead000,  8,		 1u << 20};

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct cpython py = build(v);
		uint64_t words[64 + 8 + STATES * 64];
		size_t n = 0;

		for (; n < 64; n++)
			words[n] = RUNTIME + n * 8;
		words[n++] = RUNTIME + v->main;
		words[n++] = RUNTIME + v->gil;
		words[n++] = RUNTIME + v->gil + 8;
		words[n++] = image.interp + v->threads;
		words[n++] = image.interp + v->gil_pointer;
		for (uint64_t at = STATE; n < LSC_ARRAY_LEN(words); at += 8)
			words[n++] = at;
		for (size_t k = 0; k < n; k++) {
			uint64_t was;
			if (!read_image(NULL, words[k], &was, sizeof(was)))
				continue;
			for (size_t h = 0; h < LSC_ARRAY_LEN(hostile); h++) {
				struct inspector_gil gil = {0};
				put(words[k], hostile[h]);
				image.reads = 0;
				enum message_why why = cpython_find_gil(&py, &gil);
				assert_in_range(image.reads, 1, 200);
				if (why == MESSAGE_WHY_NONE) {
					assert_in_range(gil.holder, RUNTIME,
							RUNTIME + v->size - 12);
					assert_in_range(gil.id_offset, 1, INSPECTOR_GIL_REACH - 1);
				} else {
					assert_int_equal(gil.holder, 0);
				}
			}
			put(words[k], was);
		}
		memset(image.runtime, 0xff, sizeof(image.runtime));
		memset(image.heap, 0xff, sizeof(image.heap));
		struct inspector_gil gil = {0};
		assert_int_not_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lock_of_each_version_is_found),
		cmocka_unit_test(another_size_or_version_is_not_known),
		cmocka_unit_test(without_a_lock_there_is_none),
		cmocka_unit_test(thread_states_must_fit),
		cmocka_unit_test(the_lock_must_lie_in_the_runtime),
		cmocka_unit_test(no_word_of_the_target_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
