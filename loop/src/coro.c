/* SPDX-License-Identifier: MIT */
/*
 * Lays out the first frame and tells the sanitizers about each change of stack. The change itself
 * is switch_x86_64.h and switch_aarch64.S.
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
static void arrive(struct coro_stack *stack)
{
	struct coro_stack *from = stack->came_from;

	/* What was left is told; the thread's own stack is known from that alone. */
	__sanitizer_finish_switch_fiber(stack->fake, &from->base, &from->size);
}
#endif

/* What a fresh coroutine is to call; at the top of its stack. */
struct start {
	void (*fn)(void *arg);
	void *arg;
	struct coro_stack *stack;
};

static void begin(void *arg)
{
	struct start *start = arg;

#if defined(__SANITIZE_ADDRESS__)
	arrive(start->stack);
#endif
	start->fn(start->arg);
	__builtin_trap();
}

#if defined(__x86_64__)
/* mxcsr of threads that run loops, as long as their x87 word is the default one. */
static uint32_t thread_mxcsr = 0x1f80;

static void read_control(struct coro *c)
{
	__asm__ volatile("stmxcsr %0" : "=m"(c->mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(c->x87));
}

static uint32_t default_mxcsr(void)
{
	return __atomic_load_n(&thread_mxcsr, __ATOMIC_RELAXED);
}

void coro_change_control(struct coro *from, const struct coro *to)
{
	uint32_t mxcsr = to->x87 == CORO_X87_DEFAULT ? default_mxcsr() : to->mxcsr;

	read_control(from);
	if (from->x87 == to->x87)
		return;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("fldcw %0" : : "m"(to->x87));
}

static void learn_control(struct coro *c)
{
	read_control(c);
	if (c->x87 == CORO_X87_DEFAULT)
		__atomic_store_n(&thread_mxcsr, c->mxcsr & ~0x3fu, __ATOMIC_RELAXED);
}

/* coro_enter finds at the top of the stack what to call. */
static void first_frame(struct coro *c, char *top, struct start *start)
{
	void **sp = (void **)top - 2;

	sp[0] = start;
	sp[1] = (void *)(uintptr_t)begin;
	read_control(c);
	c->sp = sp;
	c->ip = (void *)(uintptr_t)coro_enter;
}
#elif defined(__aarch64__)
static void learn_control(struct coro *c)
{
	(void)c;
}

/* x19-x28, x29, x30, d8-d15 */
static void first_frame(struct coro *c, char *top, struct start *start)
{
	uint64_t *sp = (uint64_t *)top - 20;

	memset(sp, 0, 160);
	sp[0] = (uintptr_t)start;	/* x19 */
	sp[1] = (uintptr_t)begin;	/* x20 */
	sp[11] = (uintptr_t)coro_enter; /* x30 */
	c->sp = sp;
}
#else
#error "libloopscope switches stacks on x86-64 and aarch64 only"
#endif

static void use_stack(struct coro *c, struct coro_stack *stack)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	c->stack = stack;
#else
	(void)c;
	(void)stack;
#endif
}

void coro_init_thread(struct coro *c, struct coro_stack *stack)
{
	memset(c, 0, sizeof(*c));
	memset(stack, 0, sizeof(*stack));
	learn_control(c);
	use_stack(c, stack);
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	stack->fiber = __tsan_get_current_fiber();
#endif
}

void coro_init(struct coro *c, struct coro_stack *stack, void *base, size_t size, void *top,
	       void (*fn)(void *arg), void *arg)
{
	struct start *start = (struct start *)top - 1;
	char *below = (char *)((uintptr_t)start & ~(uintptr_t)15);

	memset(c, 0, sizeof(*c));
	memset(stack, 0, sizeof(*stack));
	stack->base = base;
	stack->size = size;
	*start = (struct start){.fn = fn, .arg = arg, .stack = stack};
	first_frame(c, below, start);
	use_stack(c, stack);
	stack->valgrind_id = VALGRIND_STACK_REGISTER(base, (char *)base + size);
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	stack->fiber = __tsan_create_fiber(0);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
void coro_switch(struct coro *from, struct coro *to)
{
	to->stack->came_from = from->stack;
	__sanitizer_start_switch_fiber(&from->stack->fake, to->stack->base, to->stack->size);
	coro_swap(from, to);
	arrive(from->stack);
}
#elif defined(__SANITIZE_THREAD__)
void coro_switch(struct coro *from, struct coro *to)
{
	__tsan_switch_to_fiber(to->stack->fiber, 0);
	coro_swap(from, to);
}
#endif

void coro_done(struct coro_stack *stack)
{
#if defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	if (stack->fiber)
		__tsan_destroy_fiber(stack->fiber);
#endif
	VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
	memset(stack, 0, sizeof(*stack));
}
