// SPDX-License-Identifier: Apache-2.0
// How the runtime starts another program without a copy of its page tables, for x86-64: as vfork, but the child has a stack of its own.

	.text

// long weft_spawn(void* stack_top [rdi], void (*run)(void*) [rsi], void* argument [rdx])
//
// The child runs `run` in the same memory, with descriptors and signal dispositions of its own, until it execs or exits; the caller waits
// for that. Its end sends no signal, and only who asks for such children (__WALL) sees it. Returns its pid, or -errno.
	.globl	weft_spawn
	.hidden	weft_spawn
	.type	weft_spawn, @function
weft_spawn:
	.cfi_startproc
	andq	$-16, %rdi
	movq	%rsi, -16(%rdi)
	movq	%rdx, -8(%rdi)
	leaq	-16(%rdi), %rsi
	movl	$0x4100, %edi		// CLONE_VM | CLONE_VFORK, and no signal
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
	movl	$56, %eax		// clone
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	.cfi_undefined rip
	xorl	%ebp, %ebp
	popq	%rax
	popq	%rdi
	call	*%rax
	movl	$127, %edi
	movl	$60, %eax		// exit
	syscall
	hlt
	.cfi_endproc
	.size	weft_spawn, .-weft_spawn

	.section .note.GNU-stack,"",@progbits
