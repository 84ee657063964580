/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for x86-64 (System V ABI), inlined: the compiler saves what is live, which is
 * less than all that a function has to save, and the return addresses that the processor predicts
 * stay right. The place is left and reached by a jump.
 */
#ifndef LSC_LOOP_SWITCH_X86_64_H
#define LSC_LOOP_SWITCH_X86_64_H

#define CORO_X87_DEFAULT 0x037f

/*
 * Saves the control words of from and loads those of to. Reading and loading mxcsr costs as much as
 * the switch. The x87 word is cheap to read, and fenv.h changes both together: so mxcsr is looked
 * at only where an x87 word is not the default one. While they are default ones, mxcsr counts as
 * the thread's own: what changes it alone (flush to zero) changes it for all tasks of the thread.
 */
void coro_change_control(struct coro *from, const struct coro *to);

#if defined(__AVX512F__)
#define CORO_AVX512_CLOBBERS                                                                       \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",         \
		"xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3",   \
		"k4", "k5", "k6", "k7"
#else
#define CORO_AVX512_CLOBBERS
#endif

static inline __attribute__((always_inline)) void coro_swap(struct coro *from,
							    const struct coro *to)
{
	__asm__ volatile("fnstcw %0" : "=m"(from->x87));
	if (__builtin_expect(from->x87 != CORO_X87_DEFAULT || to->x87 != CORO_X87_DEFAULT, 0))
		coro_change_control(from, to);
	__asm__ volatile("leaq	1f(%%rip), %%rax\n\t"
			 "movq	%%rsp, %c[sp](%[from])\n\t"
			 "movq	%%rbp, %c[fp](%[from])\n\t"
			 "movq	%%rax, %c[ip](%[from])\n\t"
			 "movq	%c[sp](%[to]), %%rsp\n\t"
			 "movq	%c[fp](%[to]), %%rbp\n\t"
			 "jmp	*%c[ip](%[to])\n\t"
			 "1:"
			 : [from] "+D"(from), [to] "+S"(to)
			 : [sp] "i"(offsetof(struct coro, sp)), [fp] "i"(offsetof(struct coro, fp)),
			   [ip] "i"(offsetof(struct coro, ip))
			 : "memory", "cc", "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",
			   "r12", "r13", "r14", "r15", "st", "st(1)", "st(2)", "st(3)", "st(4)",
			   "st(5)", "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
			   "xmm13", "xmm14", "xmm15" CORO_AVX512_CLOBBERS);
}

#endif
