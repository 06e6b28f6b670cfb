// SPDX-License-Identifier: Apache-2.0
// How the runtime starts another program without a copy of its page tables, for aarch64: as vfork, but the child has a stack of its own.

	.text

// long weft_spawn(void* stack_top [x0], void (*run)(void*) [x1], void* argument [x2])
//
// The child runs `run` in the same memory, with descriptors and signal dispositions of its own, until it execs or exits; the caller waits
// for that. Its end sends no signal, and only who asks for such children (__WALL) sees it. Returns its pid, or -errno.
	.globl	weft_spawn
	.hidden	weft_spawn
	.type	weft_spawn, %function
weft_spawn:
	.cfi_startproc
	and	x6, x0, #-16
	stp	x1, x2, [x6, #-16]!
	mov	x1, x6
	mov	x0, #0x4100		// CLONE_VM | CLONE_VFORK, and no signal
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x8, #220		// clone
	svc	#0
	cbz	x0, 1f
	ret
1:	.cfi_undefined x30
	mov	x29, xzr
	mov	x30, xzr
	ldp	x1, x0, [sp], #16
	blr	x1
	mov	x0, #127
	mov	x8, #93			// exit
	svc	#0
	brk	#0
	.cfi_endproc
	.size	weft_spawn, .-weft_spawn

	.section .note.GNU-stack,"",%progbits
