/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for aarch64 (AAPCS64). A suspended context is its callee-saved state on its
 * own stack, from its stack pointer upwards: x19-x28, x29, x30, d8-d15. coro.c lays out the same
 * frame for a new coroutine.
 */
#if defined(__aarch64__)
	.text
	.p2align 4
	.hidden	coro_swap
	.globl	coro_swap
	.type	coro_swap, %function
/* void coro_swap(struct coro *from, const struct coro *to): the stack pointer is the first of both */
coro_swap:
	.cfi_startproc
	sub	sp, sp, #160
	.cfi_def_cfa_offset 160
	stp	x19, x20, [sp, #0]
	.cfi_offset x19, -160
	.cfi_offset x20, -152
	stp	x21, x22, [sp, #16]
	.cfi_offset x21, -144
	.cfi_offset x22, -136
	stp	x23, x24, [sp, #32]
	.cfi_offset x23, -128
	.cfi_offset x24, -120
	stp	x25, x26, [sp, #48]
	.cfi_offset x25, -112
	.cfi_offset x26, -104
	stp	x27, x28, [sp, #64]
	.cfi_offset x27, -96
	.cfi_offset x28, -88
	stp	x29, x30, [sp, #80]
	.cfi_offset x29, -80
	.cfi_offset x30, -72
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	ldr	x9, [x1]
	mov	sp, x9		/* the same frame, of the other context */
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_def_cfa_offset 0
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	coro_swap, . - coro_swap

	.p2align 4
	.hidden	coro_enter
	.globl	coro_enter
	.type	coro_enter, %function
/* The first frame of every coroutine: calls x20(x19). Unwinders end here: it has no caller. */
coro_enter:
	.cfi_startproc
	.cfi_undefined x30
	mov	x0, x19
	blr	x20
	brk	#1
	.cfi_endproc
	.size	coro_enter, . - coro_enter
#endif
	.section .note.GNU-stack, "", %progbits
