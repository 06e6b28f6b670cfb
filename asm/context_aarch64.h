// SPDX-License-Identifier: Apache-2.0
// asm/context.h for aarch64. The frame, lowest address first:
//   +0 fpcr  +8 fpsr  +16 d8 … +72 d15  +80 x19 … +152 x28  +160 x29  +168 x30
// A new context starts at `x30` with its argument in x19.
#pragma once

#define WEFT_FRAME_FPCR 0
#define WEFT_FRAME_D8 16
#define WEFT_FRAME_X19 80
#define WEFT_FRAME_X29 160
#define WEFT_FRAME_SIZE 176

#ifndef __ASSEMBLER__
namespace weft {

struct Frame {
  uint64_t fpcr = 0, fpsr = 0;  // as a process begins: nearest, no exception trapped, none seen
  uint64_t d8_to_d15[8] = {};   // the halves of v8 to v15 that a call preserves
  void *x19 = nullptr, *x20 = nullptr, *x21 = nullptr, *x22 = nullptr, *x23 = nullptr, *x24 = nullptr, *x25 = nullptr,
       *x26 = nullptr, *x27 = nullptr, *x28 = nullptr, *x29 = nullptr, *x30 = nullptr;
};
static_assert(sizeof(Frame) == WEFT_FRAME_SIZE);
static_assert(offsetof(Frame, d8_to_d15) == WEFT_FRAME_D8);
static_assert(offsetof(Frame, x19) == WEFT_FRAME_X19);
static_assert(offsetof(Frame, x29) == WEFT_FRAME_X29);

#define WEFT_SAVED_REGISTERS(each)                                                                                \
  each(19, x19) each(20, x20) each(21, x21) each(22, x22) each(23, x23) each(24, x24) each(25, x25) each(26, x26) \
      each(27, x27) each(28, x28) each(29, x29) each(30, x30)

inline Frame first_frame(void (*entry)(), void* argument) {
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  Frame frame;
  frame.fpcr = fpcr;
  frame.x19 = argument;
  frame.x30 = (void*)entry;
  return frame;
}
inline void*& argument_of(Frame* frame) { return frame->x19; }

// User code may always write the thread pointer.
inline void switches_begin(bool) {}

}  // namespace weft
#endif
