/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for x86-64 (System V ABI). A suspended context is its callee-saved state on
 * its own stack, from its stack pointer upwards: mxcsr and x87 control word, r15 r14 r13 r12 rbx
 * rbp, return address. coro.c lays out the same frame for a new coroutine.
 *
 * Reading and loading mxcsr costs as much as all the rest (3 ns). The x87 word is cheap to read, and
 * fenv.h changes both together: so mxcsr is saved where the x87 word is not the default one, and
 * both are loaded where the x87 words differ. While they are default ones, mxcsr counts as the
 * thread's own: what changes it alone (flush to zero) changes it for all tasks of the thread.
 */
#if defined(__x86_64__)
	.hidden	coro_thread_mxcsr
	.text
	.p2align 4
	.hidden	coro_swap
	.globl	coro_swap
	.type	coro_swap, @function
/* void coro_swap(void **ret_from_sp, void *to_sp) */
coro_swap:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	fnstcw	4(%rsp)
	movl	coro_thread_mxcsr(%rip), %eax
	movl	%eax, (%rsp)
	movzwl	4(%rsp), %eax
	cmpl	$0x037f, %eax
	jne	2f
1:	movq	%rsp, (%rdi)
	movq	%rsi, %rsp	/* the same frame, of the other context */
	cmpw	4(%rsp), %ax
	jne	3f
4:	.cfi_remember_state
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	/* Not a jump: nearly all tasks wait in the same function, so the processor's stack of return
	 * addresses is right about this one, and stays right about its callers. */
	ret
	.cfi_restore_state
2:	stmxcsr	(%rsp)
	jmp	1b
3:	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	jmp	4b
	.cfi_endproc
	.size	coro_swap, . - coro_swap

	.p2align 4
	.hidden	coro_enter
	.globl	coro_enter
	.type	coro_enter, @function
/* The first frame of every coroutine: calls r13(r12). Unwinders end here: it has no caller. */
coro_enter:
	.cfi_startproc
	.cfi_undefined %rip
	movq	%r12, %rdi
	callq	*%r13
	ud2
	.cfi_endproc
	.size	coro_enter, . - coro_enter
#endif
	.section .note.GNU-stack, "", %progbits
