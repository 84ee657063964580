/* SPDX-License-Identifier: MIT */
/* The first frame of a coroutine on x86-64. It has no shadow stack, and says so by what it does not
 * say: see switch_x86_64.h. */
#if defined(__x86_64__)
	.text
	.p2align 4
	.hidden	coro_enter
	.globl	coro_enter
	.type	coro_enter, @function
/* Reached by a jump: calls the second word on the stack with the first one. Unwinders end here: it
 * has no caller. */
coro_enter:
	.cfi_startproc
	.cfi_undefined %rip
	movq	(%rsp), %rdi
	callq	*8(%rsp)
	ud2
	.cfi_endproc
	.size	coro_enter, . - coro_enter
#endif
	.section .note.GNU-stack, "", %progbits
