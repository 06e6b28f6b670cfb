// SPDX-License-Identifier: Apache-2.0
// vfork, dlopen and __sigsetjmp for x86-64: the hooks that no C function can be. vfork returns twice on one stack, so its return address must
// not lie on it; dlopen looks at its return address to learn whose RUNPATH and namespace count, so it must be the program's;
// __sigsetjmp saves the registers of whoever called it.

	.text

// pid_t vfork(void)
//
// The child runs on this stack until it execs: it overwrites what lies below rsp at the system call, the return address with it. So that
// is kept in rdi, which the kernel preserves for each of the two. The C helpers run before it is taken off and
// after it is put back.
	.globl	vfork
	.type	vfork, @function
vfork:
	.cfi_startproc
	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	call	weft_vfork_prepare
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	popq	%rdi
	.cfi_def_cfa_offset 0
	.cfi_register rip, rdi
	movl	$58, %eax		// vfork
	syscall
	pushq	%rdi
	.cfi_def_cfa_offset 8
	.cfi_offset rip, -8
	testq	%rax, %rax
	jnz	.Lvfork_parent
	ret
.Lvfork_parent:
	// The child has gone, or there was none: rax is its pid or -errno.
	movq	%rax, %rdi
	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	call	weft_vfork_parent
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	vfork, .-vfork

// void* dlopen(const char* file [rdi], int mode [esi])
//
// frame: +16 return address   +8 file   +0 mode   (rsp then goes 8 lower for alignment)
// weft_dlopen_target(&file, &mode) changes them where needed and says where to go on.
	.globl	dlopen
	.type	dlopen, @function
dlopen:
	.cfi_startproc
	pushq	%rdi
	.cfi_def_cfa_offset 16
	pushq	%rsi
	.cfi_def_cfa_offset 24
	leaq	8(%rsp), %rdi
	movq	%rsp, %rsi
	subq	$8, %rsp
	.cfi_def_cfa_offset 32
	call	weft_dlopen_target
	addq	$8, %rsp
	.cfi_def_cfa_offset 24
	popq	%rsi
	.cfi_def_cfa_offset 16
	popq	%rdi
	.cfi_def_cfa_offset 8
	jmp	*%rax
	.cfi_endproc
	.size	dlopen, .-dlopen

// int __sigsetjmp(struct __jmp_buf_tag* environment [rdi], int save_mask [esi])
//
// frame: +16 return address   +8 environment   +0 save_mask   (rsp then goes 8 lower for alignment)
// weft_sigsetjmp_target(environment, &save_mask, return address, rsp after the return) says where to go on.
	.globl	__sigsetjmp
	.type	__sigsetjmp, @function
__sigsetjmp:
	.cfi_startproc
	pushq	%rdi
	.cfi_def_cfa_offset 16
	pushq	%rsi
	.cfi_def_cfa_offset 24
	movq	%rsp, %rsi
	movq	16(%rsp), %rdx
	leaq	24(%rsp), %rcx
	subq	$8, %rsp
	.cfi_def_cfa_offset 32
	call	weft_sigsetjmp_target
	addq	$8, %rsp
	.cfi_def_cfa_offset 24
	popq	%rsi
	.cfi_def_cfa_offset 16
	popq	%rdi
	.cfi_def_cfa_offset 8
	jmp	*%rax
	.cfi_endproc
	.size	__sigsetjmp, .-__sigsetjmp

	.section .note.GNU-stack,"",@progbits
