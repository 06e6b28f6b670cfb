// SPDX-License-Identifier: Apache-2.0
// vfork, dlopen and __sigsetjmp for aarch64: the hooks that no C function can be. vfork returns twice on one stack, so its return address
// must not lie on it; dlopen looks at its return address to learn whose RUNPATH and namespace count, so it must be the program's;
// __sigsetjmp saves the registers of whoever called it.

	.text

// pid_t vfork(void)
//
// The child runs on this stack until it execs: it overwrites what lies below sp at the system call. So the return address is in x30 by
// then, which the kernel preserves for each of the two. The C helpers run while it is on the stack, before and after that.
	.globl	vfork
	.type	vfork, %function
vfork:
	.cfi_startproc
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	bl	weft_vfork_prepare
	ldp	x29, x30, [sp], #16
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	mov	x0, #0x4111		// CLONE_VM | CLONE_VFORK | SIGCHLD
	mov	x1, xzr			// its stack: this one
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x8, #220		// clone
	svc	#0
	cbnz	x0, .Lvfork_parent
	ret
.Lvfork_parent:
	// The child has gone, or there was none: x0 is its pid or -errno.
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	bl	weft_vfork_parent
	ldp	x29, x30, [sp], #16
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	vfork, .-vfork

// void* dlopen(const char* file [x0], int mode [w1])
//
// frame: +24 mode   +16 file   +8 x30   +0 x29
// weft_dlopen_target(&file, &mode) changes them where needed and says where to go on.
	.globl	dlopen
	.type	dlopen, %function
dlopen:
	.cfi_startproc
	stp	x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	add	x0, sp, #16
	add	x1, sp, #24
	bl	weft_dlopen_target
	mov	x16, x0
	ldp	x0, x1, [sp, #16]
	ldp	x29, x30, [sp], #32
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	br	x16
	.cfi_endproc
	.size	dlopen, .-dlopen

// int __sigsetjmp(struct __jmp_buf_tag* environment [x0], int save_mask [w1])
//
// frame: +24 save_mask   +16 environment   +8 x30   +0 x29
// weft_sigsetjmp_target(environment, &save_mask, return address, sp after the return) says where to go on.
	.globl	__sigsetjmp
	.type	__sigsetjmp, %function
__sigsetjmp:
	.cfi_startproc
	stp	x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	add	x1, sp, #24
	mov	x2, x30
	add	x3, sp, #32
	bl	weft_sigsetjmp_target
	mov	x16, x0
	ldp	x0, x1, [sp, #16]
	ldp	x29, x30, [sp], #32
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	br	x16
	.cfi_endproc
	.size	__sigsetjmp, .-__sigsetjmp

	.section .note.GNU-stack,"",%progbits
