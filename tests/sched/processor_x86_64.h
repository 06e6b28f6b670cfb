// SPDX-License-Identifier: Apache-2.0
// tests/sched/processor.h for x86-64.
#pragma once

namespace processor {

struct Controls {
  uint32_t mxcsr;
  uint16_t x87;
  bool operator==(const Controls&) const = default;
};
inline Controls controls() {
  Controls words;
  asm volatile("stmxcsr %0; fnstcw %1" : "=m"(words.mxcsr), "=m"(words.x87));
  return words;
}
inline void load(const Controls& words) { asm volatile("ldmxcsr %0; fldcw %1" : : "m"(words.mxcsr), "m"(words.x87)); }

constexpr Controls kUsual{0x1f80, 0x037f};  // rounds to nearest, 64 bits of mantissa
constexpr Controls kOther{0x3f80, 0x027f};  // rounds down, 53 bits
constexpr Controls kThird{0x3fa0, 0x027f};  // and a result was not exact

enum class Way { processor, kernel };
constexpr Way kWays[] = {Way::processor, Way::kernel};
inline bool use(Way way) {
  weft::switches_begin(way == Way::kernel);
  return weft_has_fsgsbase == (way == Way::processor);
}

// The only way in is weft_coroutine_main, which belongs to the scheduler: the frame begins here instead, with r12 as it does.
extern "C" void weft_test_entry();
asm(R"(
  .text
weft_test_entry:
  movq %r12, %rdi
  movq %rax, %rsi
  call *%rbx
  hlt
)");
inline weft::Frame frame_of(const Controls& words, void (*run)(void*, uintptr_t), void* argument) {
  return {.mxcsr = words.mxcsr, .x87 = words.x87, .r12 = argument, .rbx = (void*)run, .rip = (void*)weft_test_entry};
}

inline uint64_t kept_sum(weft::Context* from, weft::Context* to) {
  uint64_t sum;
  asm volatile(
      "movl $1, %%ebx; movl $20, %%r12d; movl $300, %%r13d; movl $4000, %%r14d; movl $50000, %%r15d\n"
      "xorl %%edx, %%edx\n"
      "call weft_switch\n"
      "leaq (%%rbx, %%r12), %0; addq %%r13, %0; addq %%r14, %0; addq %%r15, %0\n"
      : "=a"(sum)
      : "D"(from), "S"(to)
      : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
  return sum;
}
inline void spoil() {
  asm volatile("xorl %%ebx, %%ebx; xorl %%r12d, %%r12d; xorl %%r13d, %%r13d; xorl %%r14d, %%r14d; xorl %%r15d, %%r15d"
               :
               :
               : "rbx", "r12", "r13", "r14", "r15");
}

}  // namespace processor
