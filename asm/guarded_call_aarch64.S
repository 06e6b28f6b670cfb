// SPDX-License-Identifier: Apache-2.0
// A frame with a personality of our own, for aarch64.

	.text

// void weft_guarded_call(void (*routine)(void) [x0])
// The frame: +0 x29, +8 x30.
	.globl	weft_guarded_call
	.hidden	weft_guarded_call
	.type	weft_guarded_call, %function
weft_guarded_call:
	.cfi_startproc
	.cfi_personality 0x1b, weft_call_unwound	// pc-relative, 4 bytes, signed: it is in the same object
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	mov	x29, sp
	blr	x0
	ldp	x29, x30, [sp], #16
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	weft_guarded_call, .-weft_guarded_call

	.section .note.GNU-stack,"",%progbits
