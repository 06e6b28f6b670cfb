// SPDX-License-Identifier: Apache-2.0
// Tests of asm/context.h: what goes with a context and what does not, with fs written by the processor and by the kernel.
#include "asm/context.h"

#include <cfenv>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <sys/auxv.h>

namespace {

using weft::Context;
using weft::Frame;

uint32_t mxcsr() {
  uint32_t word;
  asm volatile("stmxcsr %0" : "=m"(word));
  return word;
}
uint16_t x87() {
  uint16_t word;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}
void load(uint32_t mxcsr_word, uint16_t x87_word) {
  asm volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr_word), "m"(x87_word));
}

constexpr uint32_t kMxcsr = 0x1f80, kOtherMxcsr = 0x3f80;  // rounds to nearest, rounds down
constexpr uint16_t kX87 = 0x037f, kOtherX87 = 0x027f;      // 64 bits of mantissa, 53

// The parameter: whether the processor writes fs.
class ContextTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !(getauxval(AT_HWCAP2) & 2)) GTEST_SKIP() << "this kernel does not let programs write fs";
    before_ = weft_has_fsgsbase;
    weft_has_fsgsbase = GetParam();
    here.fs = __builtin_thread_pointer();
    there = begin(here.fs);
  }
  void TearDown() override {
    weft_has_fsgsbase = before_;
    load(kMxcsr, kX87);
  }

  Context begin(void* fs, uint32_t mxcsr_word = kMxcsr, uint16_t x87_word = kX87);

 public:
  Context here{}, there{};
  void (*body)(ContextTest*, uintptr_t message) = nullptr;

 private:
  std::unique_ptr<char[]> stack_;
  unsigned char before_ = 0;
};

constexpr size_t kStack = 256 << 10;

// The only way in is weft_coroutine_main, which belongs to the scheduler: the frame begins here instead, with r12 as it does.
[[noreturn]] void run(ContextTest* test, uintptr_t message) {
  for (;;) {
    test->body(test, message);
    message = weft_switch(&test->there, &test->here, 0);
  }
}
extern "C" void weft_test_entry();
asm(R"(
  .text
weft_test_entry:
  movq %r12, %rdi
  movq %rax, %rsi
  call *%rbx
  hlt
)");

Context ContextTest::begin(void* fs, uint32_t mxcsr_word, uint16_t x87_word) {
  stack_ = std::make_unique<char[]>(kStack);
  auto* frame = (Frame*)(((uintptr_t)stack_.get() + kStack) & ~uintptr_t{63}) - 1;
  *frame = {.mxcsr = mxcsr_word, .x87 = x87_word, .r12 = this, .rbx = (void*)run, .rip = (void*)weft_test_entry};
  return {frame, fs, 0};
}

TEST_P(ContextTest, GoesThereAndBackWithAMessageEachWay) {
  static uintptr_t got;
  body = [](ContextTest* test, uintptr_t message) {
    got = message;
    got += weft_switch(&test->there, &test->here, 7);
  };
  EXPECT_EQ(weft_switch(&here, &there, 40), 7u);
  EXPECT_EQ(got, 40u);
  EXPECT_EQ(weft_switch(&here, &there, 2), 0u);
  EXPECT_EQ(got, 42u);
}

TEST_P(ContextTest, KeepsTheControlWordsOfEach) {
  static uint32_t seen_mxcsr;
  static uint16_t seen_x87;
  body = [](ContextTest* test, uintptr_t) {
    seen_mxcsr = mxcsr();
    seen_x87 = x87();
    weft_switch(&test->there, &test->here, 0);
    seen_mxcsr = mxcsr();
    seen_x87 = x87();
    load(kMxcsr, kOtherX87);
  };
  there = begin(here.fs, kOtherMxcsr, kOtherX87);
  load(kMxcsr, kX87);
  weft_switch(&here, &there, 0);
  EXPECT_EQ(seen_mxcsr, kOtherMxcsr);
  EXPECT_EQ(seen_x87, kOtherX87);
  EXPECT_EQ(mxcsr(), kMxcsr);
  EXPECT_EQ(x87(), kX87);
  // Changed here, after the other has left: it gets its own back, and so does this one.
  load(kOtherMxcsr | 0x8000, kX87);
  weft_switch(&here, &there, 0);
  EXPECT_EQ(seen_mxcsr, kOtherMxcsr);
  EXPECT_EQ(seen_x87, kOtherX87);
  EXPECT_EQ(mxcsr(), kOtherMxcsr | 0x8000);
  EXPECT_EQ(x87(), kX87);
}

TEST_P(ContextTest, LoadsTheFsBaseOfEach) {
  static uint64_t block[64];  // a thread control block that only says where it is
  static void* seen;
  block[32] = (uint64_t)&block[32];
  memcpy(&block[32 + 5], (char*)here.fs + 40, 16);  // the stack protector's and the pointer guard's words
  body = [](ContextTest*, uintptr_t) { asm volatile("movq %%fs:0, %0" : "=r"(seen)); };
  there = begin(&block[32]);
  weft_switch(&here, &there, 0);
  EXPECT_EQ(seen, &block[32]);
  void* own;
  asm volatile("movq %%fs:0, %0" : "=r"(own));
  EXPECT_EQ(own, here.fs);
}

TEST_P(ContextTest, KeepsCalleeSavedRegisters) {
  body = [](ContextTest* test, uintptr_t) {
    asm volatile("xorl %%ebx, %%ebx; xorl %%r12d, %%r12d; xorl %%r13d, %%r13d; xorl %%r14d, %%r14d; xorl %%r15d, %%r15d"
                 :
                 :
                 : "rbx", "r12", "r13", "r14", "r15");
    weft_switch(&test->there, &test->here, 0);
  };
  uint64_t sum;
  asm volatile(
      "movl $1, %%ebx; movl $20, %%r12d; movl $300, %%r13d; movl $4000, %%r14d; movl $50000, %%r15d\n"
      "xorl %%edx, %%edx\n"
      "call weft_switch\n"
      "leaq (%%rbx, %%r12), %0; addq %%r13, %0; addq %%r14, %0; addq %%r15, %0\n"
      : "=a"(sum)
      : "D"(&here), "S"(&there)
      : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
  EXPECT_EQ(sum, 54321u);
}

INSTANTIATE_TEST_SUITE_P(WrittenBy, ContextTest, testing::Values(true, false),
                         [](const auto& each) { return each.param ? "Processor" : "Kernel"; });

}  // namespace
