// SPDX-License-Identifier: Apache-2.0
// The context switch and the two other places that touch the thread pointer, for aarch64.
//
// Not saved: x0 to x18 and the upper halves of v8 to v15, all other vector registers, SVE's and SME's (a call preserves none of them; x18 is
// a temporary register on Linux), the signal mask (kept per coroutine, never in the kernel). FPCR and FPSR are written only where they
// differ from what is there: a write waits for all that is under way.
#include "context.h"

	.text

// uintptr_t weft_switch(Context* from [x0], Context* to [x1], uintptr_t message [x2])
//
// frame built on the stack (offsets from the saved sp):
//   +168 x30   +160 x29   +152 x28 … +80 x19   +72 d15 … +16 d8   +8 fpsr   +0 fpcr
	.globl	weft_switch
	.hidden	weft_switch
	.type	weft_switch, %function
	.p2align 5
weft_switch:
	.cfi_startproc
	sub	sp, sp, #WEFT_FRAME_SIZE
	.cfi_def_cfa_offset WEFT_FRAME_SIZE
	stp	x29, x30, [sp, #WEFT_FRAME_X29]
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	stp	x19, x20, [sp, #WEFT_FRAME_X19]
	.cfi_offset x19, -96
	.cfi_offset x20, -88
	stp	x21, x22, [sp, #WEFT_FRAME_X19 + 16]
	.cfi_offset x21, -80
	.cfi_offset x22, -72
	stp	x23, x24, [sp, #WEFT_FRAME_X19 + 32]
	.cfi_offset x23, -64
	.cfi_offset x24, -56
	stp	x25, x26, [sp, #WEFT_FRAME_X19 + 48]
	.cfi_offset x25, -48
	.cfi_offset x26, -40
	stp	x27, x28, [sp, #WEFT_FRAME_X19 + 64]
	.cfi_offset x27, -32
	.cfi_offset x28, -24
	stp	d8, d9, [sp, #WEFT_FRAME_D8]
	.cfi_offset d8, -160
	.cfi_offset d9, -152
	stp	d10, d11, [sp, #WEFT_FRAME_D8 + 16]
	.cfi_offset d10, -144
	.cfi_offset d11, -136
	stp	d12, d13, [sp, #WEFT_FRAME_D8 + 32]
	.cfi_offset d12, -128
	.cfi_offset d13, -120
	stp	d14, d15, [sp, #WEFT_FRAME_D8 + 48]
	.cfi_offset d14, -112
	.cfi_offset d15, -104
	mrs	x3, fpcr
	mrs	x4, fpsr
	stp	x3, x4, [sp, #WEFT_FRAME_FPCR]
	mov	x5, sp
	str	x5, [x0, #WEFT_CONTEXT_SP]
	.globl	weft_switched_out
	.hidden	weft_switched_out
weft_switched_out:
	// Who sees the even count from outside may read the frame: the stores above come first. And what is done on the other stack comes
	// behind its odd one.
	ldr	w6, [x0, #WEFT_CONTEXT_SEQUENCE]
	add	w6, w6, #1
	add	x7, x0, #WEFT_CONTEXT_SEQUENCE
	stlr	w6, [x7]
	ldr	w6, [x1, #WEFT_CONTEXT_SEQUENCE]
	add	w6, w6, #1
	str	w6, [x1, #WEFT_CONTEXT_SEQUENCE]
	dmb	ishst
	ldr	x7, [x1, #WEFT_CONTEXT_FS]
	ldr	x5, [x1, #WEFT_CONTEXT_SP]
	msr	tpidr_el0, x7
	mov	x0, x2
	// From here on the stack is the other one; the picture is the same, so the CFI above goes on being right.
	mov	sp, x5
	ldp	x6, x7, [sp, #WEFT_FRAME_FPCR]
	cmp	x6, x3
	b.ne	.Lload_fpcr
.Lfpcr_done:
	cmp	x7, x4
	b.ne	.Lload_fpsr
.Lfpsr_done:
	ldp	d8, d9, [sp, #WEFT_FRAME_D8]
	ldp	d10, d11, [sp, #WEFT_FRAME_D8 + 16]
	ldp	d12, d13, [sp, #WEFT_FRAME_D8 + 32]
	ldp	d14, d15, [sp, #WEFT_FRAME_D8 + 48]
	ldp	x19, x20, [sp, #WEFT_FRAME_X19]
	ldp	x21, x22, [sp, #WEFT_FRAME_X19 + 16]
	ldp	x23, x24, [sp, #WEFT_FRAME_X19 + 32]
	ldp	x25, x26, [sp, #WEFT_FRAME_X19 + 48]
	ldp	x27, x28, [sp, #WEFT_FRAME_X19 + 64]
	ldp	x29, x30, [sp, #WEFT_FRAME_X29]
	add	sp, sp, #WEFT_FRAME_SIZE
	.cfi_remember_state
	.cfi_def_cfa_offset 0
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	ret
	.cfi_restore_state
.Lload_fpcr:
	msr	fpcr, x6
	b	.Lfpcr_done
.Lload_fpsr:
	msr	fpsr, x7
	b	.Lfpsr_done
	.cfi_endproc
	.size	weft_switch, .-weft_switch

// void weft_load_fs(void* fs [x0])
	.globl	weft_load_fs
	.hidden	weft_load_fs
	.type	weft_load_fs, %function
weft_load_fs:
	.cfi_startproc
	msr	tpidr_el0, x0
	ret
	.cfi_endproc
	.size	weft_load_fs, .-weft_load_fs

	.section .note.GNU-stack,"",%progbits
