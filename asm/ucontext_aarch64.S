// SPDX-License-Identifier: Apache-2.0
// getcontext, swapcontext and setcontext for aarch64, which save and load the registers of whoever called them. What they do is as in
// glibc, but that the signal mask is the coroutine's: hook/context.cc saves and sets it.
#include "ucontext.h"

	.text

// The caller's registers into the ucontext_t at x0. x9 and x10 are lost.
	.macro save_context
	str	xzr, [x0, #WEFT_UCONTEXT_X0]
	stp	x18, x19, [x0, #WEFT_UCONTEXT_X18]
	stp	x20, x21, [x0, #WEFT_UCONTEXT_X18 + 16]
	stp	x22, x23, [x0, #WEFT_UCONTEXT_X18 + 32]
	stp	x24, x25, [x0, #WEFT_UCONTEXT_X18 + 48]
	stp	x26, x27, [x0, #WEFT_UCONTEXT_X18 + 64]
	stp	x28, x29, [x0, #WEFT_UCONTEXT_X18 + 80]
	str	x30, [x0, #WEFT_UCONTEXT_X30]
	str	x30, [x0, #WEFT_UCONTEXT_PC]
	mov	x9, sp
	str	x9, [x0, #WEFT_UCONTEXT_SP]
	str	xzr, [x0, #WEFT_UCONTEXT_PSTATE]
	movz	w9, #(WEFT_FPSIMD_MAGIC & 0xffff)
	movk	w9, #(WEFT_FPSIMD_MAGIC >> 16), lsl #16
	mov	w10, #WEFT_FPSIMD_SIZE
	str	w9, [x0, #WEFT_UCONTEXT_RECORDS]
	str	w10, [x0, #WEFT_UCONTEXT_RECORDS + 4]
	mrs	x9, fpsr
	mrs	x10, fpcr
	str	w9, [x0, #WEFT_UCONTEXT_FPSR]
	str	w10, [x0, #WEFT_UCONTEXT_FPCR]
	stp	q8, q9, [x0, #WEFT_UCONTEXT_Q8]
	stp	q10, q11, [x0, #WEFT_UCONTEXT_Q8 + 32]
	stp	q12, q13, [x0, #WEFT_UCONTEXT_Q8 + 64]
	stp	q14, q15, [x0, #WEFT_UCONTEXT_Q8 + 96]
	str	xzr, [x0, #WEFT_UCONTEXT_LAST_RECORD]
	.endm

// int getcontext(ucontext_t* context [x0])
	.globl	getcontext
	.type	getcontext, %function
getcontext:
	.cfi_startproc
	save_context
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	bl	weft_context_saved
	ldp	x29, x30, [sp], #16
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	mov	w0, #0
	ret
	.cfi_endproc
	.size	getcontext, .-getcontext

// int swapcontext(ucontext_t* from [x0], const ucontext_t* to [x1])
	.globl	swapcontext
	.type	swapcontext, %function
swapcontext:
	.cfi_startproc
	save_context
	stp	x1, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x30, -8
	bl	weft_context_swapped
	ldp	x0, x30, [sp], #16
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	b	load_context
	.cfi_endproc
	.size	swapcontext, .-swapcontext

// int setcontext(const ucontext_t* context [x0])
	.globl	setcontext
	.type	setcontext, %function
setcontext:
	.cfi_startproc
	stp	x0, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x30, -8
	bl	weft_context_left
	ldp	x0, x30, [sp], #16
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	b	load_context
	.cfi_endproc
	.size	setcontext, .-setcontext

// Goes on in the ucontext_t at x0.
	.type	load_context, %function
load_context:
	.cfi_startproc
	// Who unwinds from here ends: the registers are half of one context and half of another.
	.cfi_undefined x30
	ldr	w9, [x0, #WEFT_UCONTEXT_RECORDS]
	movz	w10, #(WEFT_FPSIMD_MAGIC & 0xffff)
	movk	w10, #(WEFT_FPSIMD_MAGIC >> 16), lsl #16
	cmp	w9, w10
	b.ne	1f
	ldp	q8, q9, [x0, #WEFT_UCONTEXT_Q8]
	ldp	q10, q11, [x0, #WEFT_UCONTEXT_Q8 + 32]
	ldp	q12, q13, [x0, #WEFT_UCONTEXT_Q8 + 64]
	ldp	q14, q15, [x0, #WEFT_UCONTEXT_Q8 + 96]
	ldr	w9, [x0, #WEFT_UCONTEXT_FPSR]
	ldr	w10, [x0, #WEFT_UCONTEXT_FPCR]
	msr	fpsr, x9
	msr	fpcr, x10
1:	ldp	x18, x19, [x0, #WEFT_UCONTEXT_X18]
	ldp	x20, x21, [x0, #WEFT_UCONTEXT_X18 + 16]
	ldp	x22, x23, [x0, #WEFT_UCONTEXT_X18 + 32]
	ldp	x24, x25, [x0, #WEFT_UCONTEXT_X18 + 48]
	ldp	x26, x27, [x0, #WEFT_UCONTEXT_X18 + 64]
	ldp	x28, x29, [x0, #WEFT_UCONTEXT_X18 + 80]
	ldr	x30, [x0, #WEFT_UCONTEXT_X30]
	ldr	x9, [x0, #WEFT_UCONTEXT_SP]
	mov	sp, x9
	ldr	x16, [x0, #WEFT_UCONTEXT_PC]
	ldp	x2, x3, [x0, #WEFT_UCONTEXT_X0 + 16]
	ldp	x4, x5, [x0, #WEFT_UCONTEXT_X0 + 32]
	ldp	x6, x7, [x0, #WEFT_UCONTEXT_X0 + 48]
	ldp	x0, x1, [x0, #WEFT_UCONTEXT_X0]
	br	x16
	.cfi_endproc
	.size	load_context, .-load_context

	.globl	weft_context_function_returns
	.hidden	weft_context_function_returns
	.type	weft_context_function_returns, %function
	// An unwinder looks up the address before the one that is returned to: the frame begins with an instruction that nobody reaches.
	.cfi_startproc
	.cfi_undefined x30
	nop
weft_context_function_returns:
	ldr	x0, [x19]
	cbz	x0, .Lno_link
	bl	setcontext
.Lno_link:
	mov	w0, #0
	bl	exit
	brk	#0
	.cfi_endproc
	.size	weft_context_function_returns, .-weft_context_function_returns

	.section .note.GNU-stack,"",%progbits
