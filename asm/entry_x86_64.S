// SPDX-License-Identifier: Apache-2.0
// Where a context begins, and how a kernel thread leaves one behind, for x86-64.
#include "context.h"

	.text

// void weft_context_entry(void): reached by the jump of weft_switch, never called.
//   r12 argument of weft_coroutine_main   rax message of the switch that came here   rsp 16-byte aligned
	.globl	weft_context_entry
	.hidden	weft_context_entry
	.type	weft_context_entry, @function
weft_context_entry:
	.cfi_startproc
	// Nothing called this: an unwinder ends here.
	.cfi_undefined rip
	xorl	%ebp, %ebp
	movq	%r12, %rdi
	movq	%rax, %rsi
	call	weft_coroutine_main
	hlt
	.globl	weft_context_entry_end
	.hidden	weft_context_entry_end
weft_context_entry_end:
	.cfi_endproc
	.size	weft_context_entry, .-weft_context_entry

// void weft_park_and_leave(Context* save [rdi], int* flag [rsi])
// The frame is that of weft_switch. Between the store to *flag and the exit system call only registers are used.
	.globl	weft_park_and_leave
	.hidden	weft_park_and_leave
	.type	weft_park_and_leave, @function
weft_park_and_leave:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%rbx
	.cfi_def_cfa_offset 24
	pushq	%r12
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r14
	.cfi_def_cfa_offset 48
	pushq	%r15
	.cfi_def_cfa_offset 56
	subq	$8, %rsp
	.cfi_def_cfa_offset 64
	stmxcsr	0(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, WEFT_CONTEXT_SP(%rdi)
	movq	%rsi, %rdi
	movl	$1, (%rdi)
	movl	$129, %esi		// FUTEX_WAKE | FUTEX_PRIVATE_FLAG
	movl	$1, %edx
	movl	$202, %eax		// futex
	syscall
	xorl	%edi, %edi
	movl	$60, %eax		// exit: this kernel thread only
	syscall
	hlt
	.cfi_endproc
	.size	weft_park_and_leave, .-weft_park_and_leave

	.section .note.GNU-stack,"",@progbits
