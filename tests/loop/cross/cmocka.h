/* SPDX-License-Identifier: MIT */
/*
 * The part of cmocka's interface that the loop's tests use, for the other architecture, where its
 * library is not at hand. The first failure ends the program.
 */
#ifndef LSC_TESTS_LOOP_CROSS_CMOCKA_H
#define LSC_TESTS_LOOP_CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*test)(void **state);
	int (*set_up)(void **state), (*tear_down)(void **state);
};

static jmp_buf cross_skip_;

#define cross_fail_(...)                                                                           \
	(fflush(stdout), fprintf(stderr, "%s:%d: ", __FILE__, __LINE__),                           \
	 fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), _Exit(1))
#define cross_must_(ok, ...)                                                                       \
	do {                                                                                       \
		if (!(ok))                                                                         \
			cross_fail_(__VA_ARGS__);                                                  \
	} while (0)
#define cross_compare_(a, op, b)                                                                   \
	do {                                                                                       \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);     \
		cross_must_(a_ op b_, "not %s %s %s: %#llx, %#llx", #a, #op, #b, a_, b_);          \
	} while (0)

#define fail_msg(...)		   cross_fail_(__VA_ARGS__)
#define fail()			   cross_fail_("failed")
#define print_message(...)	   printf(__VA_ARGS__)
#define skip()			   longjmp(cross_skip_, 1)
#define assert_true(x)		   cross_must_(x, "not true: %s", #x)
#define assert_false(x)		   cross_must_(!(x), "not false: %s", #x)
#define assert_non_null(x)	   cross_must_((x) != NULL, "NULL: %s", #x)
#define assert_null(x)		   cross_must_((x) == NULL, "not NULL: %s", #x)
#define assert_ptr_equal(a, b)	   cross_must_((a) == (b), "not equal: %s, %s", #a, #b)
#define assert_int_equal(a, b)	   cross_compare_(a, ==, b)
#define assert_int_not_equal(a, b) cross_compare_(a, !=, b)
#define assert_in_range(x, low, high)                                                              \
	do {                                                                                       \
		uintmax_t x_ = (uintmax_t)(x);                                                     \
		cross_compare_(x_, >=, low);                                                       \
		cross_compare_(x_, <=, high);                                                      \
	} while (0)
#define assert_string_equal(a, b) cross_must_(strcmp(a, b) == 0, "'%s' is not '%s'", a, b)
#define assert_memory_equal(a, b, size)                                                            \
	cross_must_(memcmp(a, b, size) == 0, "not the same bytes: %s, %s", #a, #b)

#define cmocka_unit_test(fn)                                                                       \
	{                                                                                          \
#fn, fn, NULL, NULL                                                                \
	}
#define cmocka_unit_test_setup_teardown(fn, up, down)                                              \
	{                                                                                          \
#fn, fn, up, down                                                                  \
	}
#define cmocka_unit_test_teardown(fn, down)                                                        \
	{                                                                                          \
#fn, fn, NULL, down                                                                \
	}
#define cmocka_run_group_tests_name(name, tests, up, down)                                         \
	cross_run_(name, tests, sizeof(tests) / sizeof((tests)[0]), up, down)
#define cmocka_run_group_tests(tests, up, down)                                                    \
	cmocka_run_group_tests_name("tests", tests, up, down)

/* Whether the test came to its end: 0 when it was skipped. */
static __attribute__((noinline)) int cross_test_(void (*test)(void **state), void **state)
{
	if (setjmp(cross_skip_) != 0)
		return 0;
	test(state);
	return 1;
}

static inline int cross_run_(const char *name, const struct CMUnitTest *tests, size_t n,
			     int (*up)(void **state), int (*down)(void **state))
{
	void *shared = NULL;

	cross_must_(!up || up(&shared) == 0, "%s cannot begin", name);
	for (size_t i = 0; i < n; i++) {
		void *state = shared;

		printf("%s: %s\n", name, tests[i].name);
		fflush(stdout);
		cross_must_(!tests[i].set_up || tests[i].set_up(&state) == 0, "cannot set up");
		if (!cross_test_(tests[i].test, &state))
			printf("%s: %s was skipped\n", name, tests[i].name);
		cross_must_(!tests[i].tear_down || tests[i].tear_down(&state) == 0,
			    "cannot tear down");
	}
	cross_must_(!down || down(&shared) == 0, "%s cannot end", name);
	return 0;
}

#endif
