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
#include "pyimage.h"

#define INTERP                                                                                     \
	0x1000 /* offset of the interpreter in _PyRuntime (3.12 and later) or in the heap          \
		*/
#define STATE  (HEAP + 0x6000)
#define STATES 3

struct lock {
	struct version v; /* of it: minor, size, main, threads, id, hop */
	uint32_t gil;	  /* last_holder, in _PyRuntime or behind the interpreter's pointer */
	uint32_t gil_pointer;
};

#define LOCK(minor_, size_, main_, gil_, threads_, pointer_, id_, hop_)                            \
	{                                                                                          \
		.v = {.minor = minor_,                                                             \
		      .size = size_,                                                               \
		      .main = main_,                                                               \
		      .threads = threads_,                                                         \
		      .id = id_,                                                                   \
		      .hop = hop_},                                                                \
		.gil = gil_, .gil_pointer = pointer_,                                              \
	}

static const struct lock locks[] = {
	LOCK(8, 1464, 40, 1160, 8, 0, 176, 0x2d0),
	LOCK(9, 656, 40, 360, 8, 0, 176, 0x2d0),
	LOCK(10, 672, 40, 360, 8, 0, 176, 0x2d0),
	LOCK(11, 166688, 48, 368, 16, 0, 160, 0),
	LOCK(12, 459944, 48, INTERP + 1048, 72, 384, 144, 0),
	LOCK(13, 283320, 640, INTERP + 7760, 7344, 16, 160, 0),
	LOCK(14, 316616, 816, INTERP + 7768, 7344, 16, 160, 0),
};

static uint64_t state_at(int i)
{
	return STATE + (uint64_t)i * 0x200;
}

/* struct _Py_DebugOffsets, in the order of its fields. */
static void put_debug_offsets(const struct lock *lock)
{
	const uint64_t fields[] = {lock->v.minor << 16 | 3u << 24,
				   0,
				   lock->v.size,
				   600,
				   lock->v.main - 8u,
				   200000,
				   7280,
				   7264,
				   lock->v.threads};
	const uint64_t interp[] = {7500,
				   7656,
				   7664,
				   7672,
				   lock->gil_pointer,
				   lock->gil - 8u - INTERP,
				   0,
				   lock->gil + 8u - INTERP,
				   lock->gil - INTERP};
	const uint64_t state[] = {300, 0, 8, 16, 72, 152, lock->v.id};
	uint64_t at = RUNTIME;

	memcpy(bytes_at(at, 8), "xdebugpy", 8);
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		put(at += 8, fields[i]);
	if (lock->v.minor >= 14)
		put(at += 8, lock->v.threads + 8); /* threads.main */
	for (size_t i = 0; i < LSC_ARRAY_LEN(interp); i++)
		put(at += 8, interp[i]);
	if (lock->v.minor >= 14)
		for (int i = 0; i < 2; i++)
			put(at += 8, 10000); /* code_object_generation, tlbc_generation */
	for (size_t i = 0; i < LSC_ARRAY_LEN(state); i++)
		put(at += 8, state[i]);
}

static struct cpython make(const struct lock *lock)
{
	memset(&image, 0, sizeof(image));
	image.v = &lock->v;
	image.interp = (lock->v.minor >= 12 ? RUNTIME : HEAP) + INTERP;
	if (lock->v.minor >= 13)
		put_debug_offsets(lock);
	put(RUNTIME + lock->v.main, image.interp);
	put(image.interp + lock->v.threads, state_at(0));
	if (lock->gil_pointer)
		put(image.interp + lock->gil_pointer, RUNTIME + lock->gil - 8);
	put(RUNTIME + lock->gil, state_at(1));
	put(RUNTIME + lock->gil + 8, 1);
	for (int i = 0; i < STATES; i++) {
		uint64_t thread = HEAP + 0x4000 + (uint64_t)i * 0x400;
		put(state_at(i) + 8, i + 1 < STATES ? state_at(i + 1) : 0);
		put(state_at(i) + 16, image.interp);
		put(state_at(i) + lock->v.id, lock->v.hop ? thread : TID + (uint64_t)i);
		if (lock->v.hop)
			put(thread + lock->v.hop, TID + (uint64_t)i);
	}
	return (struct cpython){.address = RUNTIME,
				.size = lock->v.size,
				.version = lock->v.minor > 10 ? 3u << 24 | lock->v.minor << 16 : 0,
				.read = read_image};
}

static void the_lock_of_each_version_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(locks); i++) {
		const struct lock *lock = &locks[i];
		struct cpython py = make(lock);
		struct inspector_gil gil = {0};

		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
		assert_int_equal(gil.holder, RUNTIME + lock->gil);
		assert_int_equal(gil.id_offset, lock->v.id);
		assert_int_equal(gil.id_hop, lock->v.hop);
		put(RUNTIME + lock->gil, 0); /* nobody has held it yet */
		put(RUNTIME + lock->gil + 8, 0);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
	}
}

static void another_size_or_version_is_not_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(locks); i++) {
		struct cpython py = make(&locks[i]), other;
		struct inspector_gil gil = {0};

		other = py;
		other.size -= 8;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		other = py;
		other.version = 3u << 24 | 15u << 16;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		other.version = py.version ? 0 : 3u << 24 | 11u << 16;
		assert_int_equal(cpython_find_gil(&other, &gil), MESSAGE_WHY_VERSION);
		assert_int_equal(gil.holder, 0);
	}
}

static void without_a_lock_there_is_none(void **state)
{
	(void)state;
	struct cpython py = make(&locks[5]);
	struct inspector_gil gil = {0};

	put(RUNTIME + 16, 1); /* free-threaded */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_VERSION);
	py = make(&locks[3]);
	put(RUNTIME + locks[3].gil + 8, UINT32_MAX); /* not made yet */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
	py = make(&locks[3]);
	put(RUNTIME + locks[3].gil, 0); /* held by nobody */
	assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
}

static void thread_states_must_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(locks); i++) {
		const struct lock *lock = &locks[i];
		struct inspector_gil gil = {0};
		struct cpython py = make(lock);

		put(state_at(2) + 16, image.interp + 64); /* another interpreter's */
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = make(lock);
		put(state_at(0) + lock->v.id, 0); /* one about to start has no number yet */
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_NONE);
		for (int k = 0; k < STATES; k++)
			put(state_at(k) + lock->v.id, 1ull << 32);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = make(lock);
		put(image.interp + lock->v.threads, 0);
		assert_int_equal(cpython_find_gil(&py, &gil), MESSAGE_WHY_LAYOUT);
		py = make(lock);
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

	for (size_t i = 4; i < LSC_ARRAY_LEN(locks); i++) {
		const struct lock *lock = &locks[i];
		for (size_t k = 0; k < LSC_ARRAY_LEN(elsewhere) + 1; k++) {
			struct cpython py = make(lock);
			struct inspector_gil gil = {0};
			put(image.interp + lock->gil_pointer,
			    k < LSC_ARRAY_LEN(elsewhere) ? elsewhere[k]
							 : RUNTIME + lock->v.size - 16);
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

	for (size_t i = 0; i < LSC_ARRAY_LEN(locks); i++) {
		const struct lock *lock = &locks[i];
		struct cpython py = make(lock);
		uint64_t words[64 + 8 + STATES * 64];
		size_t n = 0;

		for (; n < 64; n++)
			words[n] = RUNTIME + n * 8;
		words[n++] = RUNTIME + lock->v.main;
		words[n++] = RUNTIME + lock->gil;
		words[n++] = RUNTIME + lock->gil + 8;
		words[n++] = image.interp + lock->v.threads;
		words[n++] = image.interp + lock->gil_pointer;
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
							RUNTIME + lock->v.size - 12);
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
