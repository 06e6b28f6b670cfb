// SPDX-License-Identifier: Apache-2.0
// The context switch and the two other places that touch fs, for x86-64.
//
// Not saved: caller-saved registers (the compiler has), vector registers (all caller-saved in the SysV ABI), the signal mask
// (kept per coroutine, never in the kernel), the x87 status and MXCSR only when it differs from what is loaded.
#include "context.h"

	.text

// uintptr_t weft_switch(Context* from [rdi], Context* to [rsi], uintptr_t message [rdx])
//
// MXCSR is read behind wrfsbase: reading it waits for what is under way, and there that has been waited for already (2 ns of 27).
// frame built below the return address (offsets from the saved sp):
//   +56 rip   +48 rbp   +40 rbx   +32 r12   +24 r13   +16 r14   +8 r15   +4 x87 control word   +0 mxcsr
	.globl	weft_switch
	.hidden	weft_switch
	.type	weft_switch, @function
	.p2align 5
weft_switch:
	.cfi_startproc
	fnstcw	-52(%rsp)
	movq	%rdx, %rax
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	pushq	%rbx
	.cfi_def_cfa_offset 24
	.cfi_offset rbx, -24
	pushq	%r12
	.cfi_def_cfa_offset 32
	.cfi_offset r12, -32
	pushq	%r13
	.cfi_def_cfa_offset 40
	.cfi_offset r13, -40
	pushq	%r14
	.cfi_def_cfa_offset 48
	.cfi_offset r14, -48
	pushq	%r15
	.cfi_def_cfa_offset 56
	.cfi_offset r15, -56
	subq	$8, %rsp
	.cfi_def_cfa_offset 64
	movq	%rsp, WEFT_CONTEXT_SP(%rdi)
	.globl	weft_switched_out
	.hidden	weft_switched_out
weft_switched_out:
	incl	WEFT_CONTEXT_SEQUENCE(%rdi)
	incl	WEFT_CONTEXT_SEQUENCE(%rsi)
	movq	WEFT_CONTEXT_FS(%rsi), %rdx
	movq	WEFT_CONTEXT_SP(%rsi), %rsi
	cmpb	$0, weft_has_fsgsbase(%rip)
	je	.Lswitch_by_kernel
	wrfsbase %rdx
.Lswitch_stack:
	stmxcsr	0(%rsp)
	movl	0(%rsp), %r8d
	movzwl	4(%rsp), %ecx
	// From here on the stack is the other one; the picture is the same, so the CFI above goes on being right.
	movq	%rsi, %rsp
	cmpl	0(%rsp), %r8d
	jne	.Lload_mxcsr
.Lmxcsr_done:
	cmpw	4(%rsp), %cx
	jne	.Lload_x87
.Lx87_done:
	addq	$8, %rsp
	.cfi_def_cfa_offset 56
	popq	%r15
	.cfi_def_cfa_offset 48
	.cfi_restore r15
	popq	%r14
	.cfi_def_cfa_offset 40
	.cfi_restore r14
	popq	%r13
	.cfi_def_cfa_offset 32
	.cfi_restore r13
	popq	%r12
	.cfi_def_cfa_offset 24
	.cfi_restore r12
	popq	%rbx
	.cfi_def_cfa_offset 16
	.cfi_restore rbx
	popq	%rbp
	.cfi_def_cfa_offset 8
	.cfi_restore rbp
	// A ret, not a pop and a jmp: it takes off the return stack what the call has pushed, so that the returns above it are
	// predicted. Coroutines that wait in the same call have the same chain of them.
	ret
	.cfi_endproc
	.size	weft_switch, .-weft_switch

	.type	weft_switch_cold, @function
weft_switch_cold:
	.cfi_startproc
	.cfi_def_cfa_offset 64
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
.Lload_mxcsr:
	ldmxcsr	0(%rsp)
	jmp	.Lmxcsr_done
.Lload_x87:
	fldcw	4(%rsp)
	jmp	.Lx87_done
.Lswitch_by_kernel:
	// arch_prctl(ARCH_SET_FS, rdx); rcx and r11 are lost to the system call, rax to its result
	movq	%rax, %r10
	xchgq	%rdx, %rsi
	movl	$0x1002, %edi
	movl	$158, %eax
	syscall
	movq	%rdx, %rsi
	movq	%r10, %rax
	jmp	.Lswitch_stack
	.cfi_endproc
	.size	weft_switch_cold, .-weft_switch_cold

// void weft_load_fs(void* fs [rdi])
	.globl	weft_load_fs
	.hidden	weft_load_fs
	.type	weft_load_fs, @function
weft_load_fs:
	.cfi_startproc
	cmpb	$0, weft_has_fsgsbase(%rip)
	je	1f
	wrfsbase %rdi
	ret
1:	movq	%rdi, %rsi
	movl	$0x1002, %edi
	movl	$158, %eax
	syscall
	ret
	.cfi_endproc
	.size	weft_load_fs, .-weft_load_fs

	.data
	.globl	weft_has_fsgsbase
	.hidden	weft_has_fsgsbase
	.type	weft_has_fsgsbase, @object
	.size	weft_has_fsgsbase, 1
weft_has_fsgsbase:
	.byte	0

	.section .note.GNU-stack,"",@progbits
