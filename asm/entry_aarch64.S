// SPDX-License-Identifier: Apache-2.0
// Where a context begins, and how a kernel thread leaves one behind, for aarch64.
#include "context.h"

	.text

// void weft_context_entry(void): reached by the return of weft_switch, never called.
//   x19 argument of weft_coroutine_main   x0 message of the switch that came here   sp 16-byte aligned
	.globl	weft_context_entry
	.hidden	weft_context_entry
	.type	weft_context_entry, %function
weft_context_entry:
	.cfi_startproc
	// Nothing called this: an unwinder ends here.
	.cfi_undefined x30
	mov	x29, xzr
	mov	x30, xzr
	mov	x1, x0
	mov	x0, x19
	bl	weft_coroutine_main
	brk	#0
	.globl	weft_context_entry_end
	.hidden	weft_context_entry_end
weft_context_entry_end:
	.cfi_endproc
	.size	weft_context_entry, .-weft_context_entry

// void weft_park_and_leave(Context* save [x0], int* flag [x1])
// The frame is that of weft_switch. Between the store to *flag and the exit system call only registers are used.
	.globl	weft_park_and_leave
	.hidden	weft_park_and_leave
	.type	weft_park_and_leave, %function
weft_park_and_leave:
	.cfi_startproc
	sub	sp, sp, #WEFT_FRAME_SIZE
	.cfi_def_cfa_offset WEFT_FRAME_SIZE
	stp	x29, x30, [sp, #WEFT_FRAME_X29]
	stp	x19, x20, [sp, #WEFT_FRAME_X19]
	stp	x21, x22, [sp, #WEFT_FRAME_X19 + 16]
	stp	x23, x24, [sp, #WEFT_FRAME_X19 + 32]
	stp	x25, x26, [sp, #WEFT_FRAME_X19 + 48]
	stp	x27, x28, [sp, #WEFT_FRAME_X19 + 64]
	stp	d8, d9, [sp, #WEFT_FRAME_D8]
	stp	d10, d11, [sp, #WEFT_FRAME_D8 + 16]
	stp	d12, d13, [sp, #WEFT_FRAME_D8 + 32]
	stp	d14, d15, [sp, #WEFT_FRAME_D8 + 48]
	mrs	x3, fpcr
	mrs	x4, fpsr
	stp	x3, x4, [sp, #WEFT_FRAME_FPCR]
	mov	x5, sp
	str	x5, [x0, #WEFT_CONTEXT_SP]
	mov	x0, x1
	mov	w2, #1
	stlr	w2, [x0]		// who has seen it sees the frame
	mov	x1, #129		// FUTEX_WAKE | FUTEX_PRIVATE_FLAG
	mov	x8, #98			// futex
	svc	#0
	mov	x0, #0
	mov	x8, #93			// exit: this kernel thread only
	svc	#0
	brk	#0
	.cfi_endproc
	.size	weft_park_and_leave, .-weft_park_and_leave

	.section .note.GNU-stack,"",%progbits
