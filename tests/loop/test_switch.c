/* SPDX-License-Identifier: MIT */
/*
 * The stack switch: registers and control words survive it, unwinders end at the coroutine's entry,
 * and a loop runs on it. Uses libc alone, not cmocka, so that it can be cross-built and run under
 * an emulator.
 */
#include <errno.h>
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "base/clock.h"
#include "loop.h"
#include "stack.h"
#include "loopscope/loopscope.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

void coro_enter(void);

/* ---- registers ---- */

/* Keeps more values alive over a switch than there are callee-saved registers, and doubles too. */
static double mix(struct coro *self, struct coro *other, uint64_t seed)
{
	uint64_t a[24];
	double d[12];

	for (int i = 0; i < 24; i++)
		a[i] = seed * (uint64_t)(i + 1);
	for (int i = 0; i < 12; i++)
		d[i] = (double)(seed + (uint64_t)i) / 3;
	for (int round = 0; round < 100; round++) {
#pragma GCC unroll 24
		for (int i = 0; i < 24; i++)
			a[i] = a[i] * 6364136223846793005u + 1;
#pragma GCC unroll 12
		for (int i = 0; i < 12; i++)
			d[i] = d[i] * 0.5 + (double)(a[i] >> 40);
		if (self)
			coro_switch(self, other);
	}
	double sum = 0;
	for (int i = 0; i < 24; i++)
		sum += (double)(a[i] >> 32);
	for (int i = 0; i < 12; i++)
		sum += d[i];
	return sum;
}

static struct coro thread; /* the stack of main() */
static struct coro_stack thread_stack;
static double inner_sum;

static void mix_inside(void *arg)
{
	inner_sum = mix(arg, &thread, 77);
	coro_switch(arg, &thread);
}

static void registers_survive_a_switch(void)
{
	struct stack stack;
	struct coro_stack coro_stack;
	struct coro coro;

	CHECK(stack_map(&stack, STACK_DEFAULT_SIZE) == 0);
	CHECK((uintptr_t)stack.base % 4096 == 0);
	coro_init(&coro, &coro_stack, stack.base, stack.size, stack.base + stack.size, mix_inside,
		  &coro);
	double outer_sum = mix(&thread, &coro, 99);
	coro_switch(&thread, &coro);
	CHECK(outer_sum == mix(NULL, NULL, 99));
	CHECK(inner_sum == mix(NULL, NULL, 77));
	coro_done(&coro_stack);
	stack_unmap(&stack);
}

#if defined(__x86_64__)
static void round_upward(void *arg)
{
	CHECK(fegetround() == FE_TONEAREST);
	fesetround(FE_UPWARD);
	coro_switch(arg, &thread);
	CHECK(fegetround() == FE_UPWARD);
	coro_switch(arg, &thread);
}

static void control_words_belong_to_the_coroutine(void)
{
	struct stack stack;
	struct coro_stack coro_stack;
	struct coro coro;

	CHECK(stack_map(&stack, STACK_DEFAULT_SIZE) == 0);
	coro_init(&coro, &coro_stack, stack.base, stack.size, stack.base + stack.size, round_upward,
		  &coro);
	coro_switch(&thread, &coro);
	CHECK(fegetround() == FE_TONEAREST);
	coro_switch(&thread, &coro);
	CHECK(fegetround() == FE_TONEAREST);
	coro_done(&coro_stack);
	stack_unmap(&stack);
}
#endif

/* ---- unwinding ---- */

struct walk {
	int frames;
	uintptr_t last_function;
	_Unwind_Reason_Code end;
};

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;

	w->last_function = _Unwind_GetRegionStart(context);
	return ++w->frames > 100 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static struct walk walk;

static void unwind_myself(void *arg)
{
	walk.end = _Unwind_Backtrace(count_frame, &walk);
	coro_switch(arg, &thread);
}

static void unwinders_end_at_the_entry(void)
{
	struct stack stack;
	struct coro_stack coro_stack;
	struct coro coro;

	CHECK(stack_map(&stack, STACK_DEFAULT_SIZE) == 0);
	coro_init(&coro, &coro_stack, stack.base, stack.size, stack.base + stack.size,
		  unwind_myself, &coro);
	coro_switch(&thread, &coro);
	CHECK(walk.end == _URC_END_OF_STACK);
	CHECK(walk.frames >= 3 && walk.frames < 10);
	CHECK(walk.last_function == (uintptr_t)coro_enter);
	coro_done(&coro_stack);
	stack_unmap(&stack);
}

static void a_fresh_stack_is_writable_and_zero(void)
{
	struct stack stack;

	CHECK(stack_map(&stack, STACK_DEFAULT_SIZE) == 0);
	for (size_t i = 0; i < STACK_DEFAULT_SIZE; i++)
		CHECK(stack.base[i] == 0);
	memset(stack.base, 0xa5, STACK_DEFAULT_SIZE);
	stack_unmap(&stack);
}

/* ---- a loop on it ---- */

static int body(void *arg)
{
	double d = *(int *)arg * 1.5;

	if (lsc_sleep(LSC_NS_PER_MS) < 0 || lsc_yield() < 0)
		return -ECANCELED;
	return (int)(d * 2);
}

static int main_task(void *arg)
{
	struct lsc_future *tasks[20];
	int n[20], sum = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		n[i] = i;
		tasks[i] = lsc_spawn(body, &n[i], "a task");
		CHECK(tasks[i]);
	}
	for (int i = 0; i < 20; i++) {
		sum += lsc_await(tasks[i]);
		lsc_unref(tasks[i]);
	}
	return sum;
}

int main(void)
{
	coro_init_thread(&thread, &thread_stack);
	registers_survive_a_switch();
#if defined(__x86_64__)
	control_words_belong_to_the_coroutine();
#endif
	unwinders_end_at_the_entry();
	a_fresh_stack_is_writable_and_zero();
	CHECK(lsc_run(main_task, NULL) == 570);
	return 0;
}
