// SPDX-License-Identifier: Apache-2.0
// asm/context.h for x86-64. The frame, lowest address first:
//   +0 mxcsr (4 bytes)  +4 x87 control word (2 bytes, 2 of padding)  +8 r15  +16 r14  +24 r13  +32 r12  +40 rbx  +48 rbp  +56 rip
// A new context starts at `rip` with its argument in r12.
#pragma once

#define WEFT_FRAME_SIZE 64

#ifndef __ASSEMBLER__
#include <sys/auxv.h>

extern "C" {
// 1 where the kernel lets user code write fs (FSGSBASE); 0: arch_prctl is used instead. Set once before the first switch.
extern unsigned char weft_has_fsgsbase;
}

namespace weft {

struct Frame {
  unsigned mxcsr = 0x1f80;      // as a process begins: nearest, every exception masked
  unsigned short x87 = 0x037f;  // the same, with 64 bits of mantissa
  unsigned short padding = 0;
  void *r15 = nullptr, *r14 = nullptr, *r13 = nullptr, *r12 = nullptr, *rbx = nullptr, *rbp = nullptr;
  void* rip = nullptr;
};
static_assert(sizeof(Frame) == WEFT_FRAME_SIZE);

#define WEFT_SAVED_REGISTERS(each) \
  each(15, r15) each(14, r14) each(13, r13) each(12, r12) each(3, rbx) each(6, rbp) each(16, rip)

inline Frame first_frame(void (*entry)(), void* argument) {
  unsigned mxcsr;
  unsigned short x87;
  asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(x87));
  return {.mxcsr = mxcsr, .x87 = x87, .r12 = argument, .rip = (void*)entry};
}
inline void*& argument_of(Frame* frame) { return frame->r12; }

inline bool may_write_fs() { return getauxval(AT_HWCAP2) & 2 /* HWCAP2_FSGSBASE */; }
inline void switches_begin(bool by_kernel) { weft_has_fsgsbase = !by_kernel && may_write_fs(); }

}  // namespace weft
#endif
