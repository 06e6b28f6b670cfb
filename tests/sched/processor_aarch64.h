// SPDX-License-Identifier: Apache-2.0
// tests/sched/processor.h for aarch64.
#pragma once

namespace processor {

struct Controls {
  uint64_t fpcr, fpsr;
  bool operator==(const Controls&) const = default;
};
inline Controls controls() {
  Controls words;
  asm volatile("mrs %0, fpcr; mrs %1, fpsr" : "=r"(words.fpcr), "=r"(words.fpsr));
  return words;
}
inline void load(const Controls& words) {
  asm volatile("msr fpcr, %0; msr fpsr, %1" : : "r"(words.fpcr), "r"(words.fpsr));
}

constexpr Controls kUsual{0, 0};                     // rounds to nearest
constexpr Controls kOther{uint64_t{2} << 22, 0};     // rounds down
constexpr Controls kThird{uint64_t{2} << 22, 0x10};  // and a result was not exact

enum class Way { processor };
constexpr Way kWays[] = {Way::processor};
inline bool use(Way) { return true; }

// The only way in is weft_coroutine_main, which belongs to the scheduler: the frame begins here instead, with x19 as it does.
extern "C" void weft_test_entry();
asm(R"(
  .text
weft_test_entry:
  mov x1, x0
  mov x0, x19
  blr x20
  brk #0
)");
inline weft::Frame frame_of(const Controls& words, void (*run)(void*, uintptr_t), void* argument) {
  weft::Frame frame;
  frame.fpcr = words.fpcr;
  frame.fpsr = words.fpsr;
  frame.x19 = argument;
  frame.x20 = (void*)run;
  frame.x30 = (void*)weft_test_entry;
  return frame;
}

// x19 to x28 and the halves of v8 to v15 that a call preserves: the numbers are spread over the ends of both.
inline uint64_t kept_sum(weft::Context* from, weft::Context* to) {
  register weft::Context* x0 asm("x0") = from;
  register weft::Context* x1 asm("x1") = to;
  register uint64_t x19 asm("x19");
  asm volatile(
      "mov x19, #1; mov x20, #10; mov x21, #2; mov x22, #8; mov x23, #100; mov x24, #100; mov x25, #100\n"
      "mov x26, #1000; mov x27, #2000; mov x28, #1000\n"
      "mov x9, #10000; fmov d8, x9; fmov d9, x9; mov x9, #5000; fmov d10, x9; fmov d11, x9; fmov d12, x9; fmov d13, "
      "x9\n"
      "fmov d14, x9; fmov d15, x9\n"
      "mov x2, #0\n"
      "bl weft_switch\n"
      "add x19, x19, x20; add x19, x19, x21; add x19, x19, x22; add x19, x19, x23; add x19, x19, x24\n"
      "add x19, x19, x25; add x19, x19, x26; add x19, x19, x27; add x19, x19, x28\n"
      "fmov x9, d8; add x19, x19, x9; fmov x9, d9; add x19, x19, x9; fmov x9, d10; add x19, x19, x9\n"
      "fmov x9, d11; add x19, x19, x9; fmov x9, d12; add x19, x19, x9; fmov x9, d13; add x19, x19, x9\n"
      "fmov x9, d14; add x19, x19, x9; fmov x9, d15; add x19, x19, x9\n"
      : "=r"(x19), "+r"(x0), "+r"(x1)
      :
      : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x20",
        "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "d8", "d9", "d10", "d11", "d12", "d13", "d14",
        "d15", "memory", "cc");
  return x19;
}
inline void spoil() {
  asm volatile(
      "mov x19, #0; mov x20, #0; mov x21, #0; mov x22, #0; mov x23, #0; mov x24, #0; mov x25, #0; mov x26, #0\n"
      "mov x27, #0; mov x28, #0; fmov d8, xzr; fmov d9, xzr; fmov d10, xzr; fmov d11, xzr; fmov d12, xzr\n"
      "fmov d13, xzr; fmov d14, xzr; fmov d15, xzr"
      :
      :
      : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "d8", "d9", "d10", "d11", "d12", "d13",
        "d14", "d15");
}

}  // namespace processor
