// SPDX-License-Identifier: Apache-2.0
// getcontext, swapcontext and setcontext for x86-64, which save and load the registers of whoever called them. What they do is as in
// glibc, but that the signal mask is the coroutine's: hook/context.cc saves and sets it.
#include "ucontext.h"

	.text

// The caller's registers into the ucontext_t at rdi. rax is lost.
	.macro save_context
	movq	%rbx, WEFT_UCONTEXT_RBX(%rdi)
	movq	%rbp, WEFT_UCONTEXT_RBP(%rdi)
	movq	%r12, WEFT_UCONTEXT_R12(%rdi)
	movq	%r13, WEFT_UCONTEXT_R13(%rdi)
	movq	%r14, WEFT_UCONTEXT_R14(%rdi)
	movq	%r15, WEFT_UCONTEXT_R15(%rdi)
	movq	%rdi, WEFT_UCONTEXT_RDI(%rdi)
	movq	%rsi, WEFT_UCONTEXT_RSI(%rdi)
	movq	%rdx, WEFT_UCONTEXT_RDX(%rdi)
	movq	%rcx, WEFT_UCONTEXT_RCX(%rdi)
	movq	%r8, WEFT_UCONTEXT_R8(%rdi)
	movq	%r9, WEFT_UCONTEXT_R9(%rdi)
	movq	(%rsp), %rax
	movq	%rax, WEFT_UCONTEXT_RIP(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, WEFT_UCONTEXT_RSP(%rdi)
	leaq	WEFT_UCONTEXT_FPREGS_MEM(%rdi), %rax
	movq	%rax, WEFT_UCONTEXT_FPREGS(%rdi)
	fnstenv	(%rax)
	fldenv	(%rax)
	stmxcsr	WEFT_UCONTEXT_MXCSR(%rdi)
	.endm

// int getcontext(ucontext_t* context [rdi])
	.globl	getcontext
	.type	getcontext, @function
getcontext:
	.cfi_startproc
	save_context
	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	call	weft_context_saved
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	xorl	%eax, %eax
	ret
	.cfi_endproc
	.size	getcontext, .-getcontext

// int swapcontext(ucontext_t* from [rdi], const ucontext_t* to [rsi])
	.globl	swapcontext
	.type	swapcontext, @function
swapcontext:
	.cfi_startproc
	save_context
	pushq	%rsi
	.cfi_def_cfa_offset 16
	call	weft_context_swapped
	popq	%rdi
	.cfi_def_cfa_offset 8
	jmp	load_context
	.cfi_endproc
	.size	swapcontext, .-swapcontext

// int setcontext(const ucontext_t* context [rdi])
	.globl	setcontext
	.type	setcontext, @function
setcontext:
	.cfi_startproc
	pushq	%rdi
	.cfi_def_cfa_offset 16
	call	weft_context_left
	popq	%rdi
	.cfi_def_cfa_offset 8
	jmp	load_context
	.cfi_endproc
	.size	setcontext, .-setcontext

// Goes on in the ucontext_t at rdi.
	.type	load_context, @function
load_context:
	.cfi_startproc
	// Who unwinds from here sees where it goes, all the way.
	.cfi_def_cfa rdi, 0
	.cfi_offset rbx, WEFT_UCONTEXT_RBX
	.cfi_offset rbp, WEFT_UCONTEXT_RBP
	.cfi_offset r12, WEFT_UCONTEXT_R12
	.cfi_offset r13, WEFT_UCONTEXT_R13
	.cfi_offset r14, WEFT_UCONTEXT_R14
	.cfi_offset r15, WEFT_UCONTEXT_R15
	.cfi_offset rsp, WEFT_UCONTEXT_RSP
	.cfi_offset rip, WEFT_UCONTEXT_RIP
	movq	WEFT_UCONTEXT_FPREGS(%rdi), %rcx
	fldenv	(%rcx)
	ldmxcsr	WEFT_UCONTEXT_MXCSR(%rdi)
	movq	WEFT_UCONTEXT_RSP(%rdi), %rsp
	movq	WEFT_UCONTEXT_RBX(%rdi), %rbx
	movq	WEFT_UCONTEXT_RBP(%rdi), %rbp
	movq	WEFT_UCONTEXT_R12(%rdi), %r12
	movq	WEFT_UCONTEXT_R13(%rdi), %r13
	movq	WEFT_UCONTEXT_R14(%rdi), %r14
	movq	WEFT_UCONTEXT_R15(%rdi), %r15
	pushq	WEFT_UCONTEXT_RIP(%rdi)
	movq	WEFT_UCONTEXT_RSI(%rdi), %rsi
	movq	WEFT_UCONTEXT_RDX(%rdi), %rdx
	movq	WEFT_UCONTEXT_RCX(%rdi), %rcx
	movq	WEFT_UCONTEXT_R8(%rdi), %r8
	movq	WEFT_UCONTEXT_R9(%rdi), %r9
	movq	WEFT_UCONTEXT_RDI(%rdi), %rdi
	.cfi_def_cfa rsp, 8
	.cfi_restore rbx
	.cfi_restore rbp
	.cfi_restore r12
	.cfi_restore r13
	.cfi_restore r14
	.cfi_restore r15
	.cfi_restore rsp
	.cfi_offset rip, -8
	xorl	%eax, %eax
	ret
	.cfi_endproc
	.size	load_context, .-load_context

	.globl	weft_context_function_returns
	.hidden	weft_context_function_returns
	.type	weft_context_function_returns, @function
weft_context_function_returns:
	.cfi_startproc
	.cfi_undefined rip
	movq	(%rbx), %rdi
	andq	$-16, %rsp
	testq	%rdi, %rdi
	jz	.Lno_link
	call	setcontext@PLT
.Lno_link:
	xorl	%edi, %edi
	call	exit@PLT
	hlt
	.cfi_endproc
	.size	weft_context_function_returns, .-weft_context_function_returns

	.section .note.GNU-stack,"",@progbits
