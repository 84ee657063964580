/* SPDX-License-Identifier: MIT */
/*
 * Lays out the first frame and tells the sanitizers about each change of stack. The change itself
 * is switch_ARCH.S.
 */
#include "coro.h"

#include <stdint.h>
#include <string.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

void coro_switch(void **ret_from_sp, void *to_sp);
void coro_enter(void);

static void begin(void *arg)
{
	struct coro *c = arg;

#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(NULL, &c->resumer_stack, &c->resumer_stack_size);
#endif
	c->fn(c->arg);
	__builtin_trap();
}

#if defined(__x86_64__)
/* control words, r15 r14 r13 r12 rbx rbp, return address; then 0, so that the frame of coro_enter
 * begins 16-byte aligned. */
static void *first_frame(struct coro *c, char *top)
{
	uint64_t *sp = (uint64_t *)top - 10;
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	memset(sp, 0, 80);
	sp[0] = mxcsr | (uint64_t)x87 << 32;
	sp[3] = (uintptr_t)begin; /* r13 */
	sp[4] = (uintptr_t)c;	  /* r12 */
	sp[7] = (uintptr_t)coro_enter;
	return sp;
}
#elif defined(__aarch64__)
/* x19-x28, x29, x30, d8-d15 */
static void *first_frame(struct coro *c, char *top)
{
	uint64_t *sp = (uint64_t *)top - 20;

	memset(sp, 0, 160);
	sp[0] = (uintptr_t)c;		/* x19 */
	sp[1] = (uintptr_t)begin;	/* x20 */
	sp[11] = (uintptr_t)coro_enter; /* x30 */
	return sp;
}
#else
#error "libloopscope switches stacks on x86-64 and aarch64 only"
#endif

void coro_init(struct coro *c, void *stack, size_t stack_size, void (*fn)(void *arg), void *arg)
{
	memset(c, 0, sizeof(*c));
	c->stack = stack;
	c->stack_size = stack_size;
	c->fn = fn;
	c->arg = arg;
	c->sp = first_frame(c, (char *)stack + stack_size);
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	c->fiber = __tsan_create_fiber(0);
#endif
}

void coro_resume(struct coro *c)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(&c->resumer_fake, c->stack, c->stack_size);
#elif defined(__SANITIZE_THREAD__)
	c->resumer_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(c->fiber, 0);
#endif
	coro_switch(&c->resumer_sp, c->sp);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(c->resumer_fake, NULL, NULL);
#endif
}

void coro_suspend(struct coro *c)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(&c->fake, c->resumer_stack, c->resumer_stack_size);
#elif defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(c->resumer_fiber, 0);
#endif
	coro_switch(&c->sp, c->resumer_sp);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(c->fake, &c->resumer_stack, &c->resumer_stack_size);
#endif
}

void coro_exit(struct coro *c)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(NULL, c->resumer_stack, c->resumer_stack_size);
#elif defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(c->resumer_fiber, 0);
#endif
	coro_switch(&c->sp, c->resumer_sp);
	__builtin_unreachable();
}

void coro_done(struct coro *c)
{
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	if (c->fiber)
		__tsan_destroy_fiber(c->fiber);
#endif
	memset(c, 0, sizeof(*c));
}
