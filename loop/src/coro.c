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

/* Valgrind is told of stacks where its header is at hand; the requests are a few instructions that
 * do nothing outside of it. */
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if !defined(VALGRIND_STACK_REGISTER)
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)	    ((void)(id))
#endif

void coro_enter(void);

#if defined(__SANITIZE_ADDRESS__)
static void arrive(struct coro *c)
{
	struct coro *from = c->came_from;

	/* What was left is told; the thread's own stack is known from that alone. */
	__sanitizer_finish_switch_fiber(c->fake, &from->stack, &from->stack_size);
}
#endif

static void begin(void *arg)
{
	struct coro *c = arg;

#if defined(__SANITIZE_ADDRESS__)
	arrive(c);
#endif
	c->fn(c->arg);
	__builtin_trap();
}

#if defined(__x86_64__)
/* mxcsr of threads that run loops, as long as their x87 word is the default one. */
extern uint32_t coro_thread_mxcsr __attribute__((visibility("hidden")));
uint32_t coro_thread_mxcsr = 0x1f80;

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

void coro_init_thread(struct coro *c)
{
#if defined(__x86_64__)
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	if (x87 == 0x037f)
		__atomic_store_n(&coro_thread_mxcsr, mxcsr & ~0x3fu, __ATOMIC_RELAXED);
#endif
	memset(c, 0, sizeof(*c));
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	c->fiber = __tsan_get_current_fiber();
#endif
}

void coro_init(struct coro *c, void *stack, size_t stack_size, void *top, void (*fn)(void *arg),
	       void *arg)
{
	memset(c, 0, sizeof(*c));
	c->stack = stack;
	c->stack_size = stack_size;
	c->fn = fn;
	c->arg = arg;
	c->sp = first_frame(c, top);
	c->valgrind_id = VALGRIND_STACK_REGISTER(stack, (char *)stack + stack_size);
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	c->fiber = __tsan_create_fiber(0);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
void coro_switch(struct coro *from, struct coro *to)
{
	to->came_from = from;
	__sanitizer_start_switch_fiber(&from->fake, to->stack, to->stack_size);
	coro_swap(&from->sp, to->sp);
	arrive(from);
}
#elif defined(__SANITIZE_THREAD__)
void coro_switch(struct coro *from, struct coro *to)
{
	__tsan_switch_to_fiber(to->fiber, 0);
	coro_swap(&from->sp, to->sp);
}
#endif

void coro_done(struct coro *c)
{
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	if (c->fiber)
		__tsan_destroy_fiber(c->fiber);
#endif
	VALGRIND_STACK_DEREGISTER(c->valgrind_id);
	memset(c, 0, sizeof(*c));
}
