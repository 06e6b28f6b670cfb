// SPDX-License-Identifier: Apache-2.0
// A frame with a personality of our own, for x86-64.

	.text

// void weft_guarded_call(void (*routine)(void) [rdi])
// The frame: +0 padding that aligns rsp to 16 for the call, +8 return address.
	.globl	weft_guarded_call
	.hidden	weft_guarded_call
	.type	weft_guarded_call, @function
weft_guarded_call:
	.cfi_startproc
	.cfi_personality 0x1b, weft_call_unwound	// pc-relative, 4 bytes, signed: it is in the same object
	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	call	*%rdi
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	weft_guarded_call, .-weft_guarded_call

	.section .note.GNU-stack,"",@progbits
