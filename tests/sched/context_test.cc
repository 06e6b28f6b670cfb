// SPDX-License-Identifier: Apache-2.0
// Tests of asm/context.h: what goes with a context and what does not, however the thread pointer is set.
#include "asm/context.h"

#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>

#include "asm/cpu.h"
#include "tests/sched/processor.h"

namespace {

using processor::Controls;
using processor::kOther;
using processor::kThird;
using processor::kUsual;
using weft::Context;
using weft::Frame;

// The parameter: who sets the thread pointer.
class ContextTest : public testing::TestWithParam<processor::Way> {
 protected:
  void SetUp() override {
    if (!processor::use(GetParam())) GTEST_SKIP() << "this kernel does not let programs set the thread pointer";
    here.fs = __builtin_thread_pointer();
    there = begin(here.fs);
  }
  void TearDown() override {
    processor::use(processor::kWays[0]);
    processor::load(kUsual);
  }

  Context begin(void* fs, const Controls& controls = kUsual);

 public:
  Context here{}, there{};
  void (*body)(ContextTest*, uintptr_t message) = nullptr;

 private:
  std::unique_ptr<char[]> stack_;
};

constexpr size_t kStack = 256 << 10;

void run(void* argument, uintptr_t message) {
  auto* test = (ContextTest*)argument;
  for (;;) {
    test->body(test, message);
    message = weft_switch(&test->there, &test->here, 0);
  }
}

Context ContextTest::begin(void* fs, const Controls& controls) {
  stack_ = std::make_unique<char[]>(kStack);
  auto* frame = (Frame*)(((uintptr_t)stack_.get() + kStack) & ~uintptr_t{63}) - 1;
  *frame = processor::frame_of(controls, run, this);
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
  static Controls seen;
  body = [](ContextTest* test, uintptr_t) {
    seen = processor::controls();
    weft_switch(&test->there, &test->here, 0);
    seen = processor::controls();
    processor::load(kUsual);
  };
  there = begin(here.fs, kOther);
  processor::load(kUsual);
  weft_switch(&here, &there, 0);
  EXPECT_TRUE(seen == kOther);
  EXPECT_TRUE(processor::controls() == kUsual);
  // Changed here, after the other has left: it gets its own back, and so does this one.
  processor::load(kThird);
  weft_switch(&here, &there, 0);
  EXPECT_TRUE(seen == kOther);
  EXPECT_TRUE(processor::controls() == kThird);
}

TEST_P(ContextTest, LoadsTheThreadPointerOfEach) {
  static uint64_t block[64];  // a thread control block that only says where it is
  static void* seen;
  block[32] = (uint64_t)&block[32];
  memcpy(&block[32 + 5], (char*)here.fs + 40,
         16);  // where x86-64 has the stack protector's and the pointer guard's words
  body = [](ContextTest*, uintptr_t) { seen = weft::cpu::thread_pointer_now(); };
  there = begin(&block[32]);
  weft_switch(&here, &there, 0);
  EXPECT_EQ(seen, &block[32]);
  EXPECT_EQ(weft::cpu::thread_pointer_now(), here.fs);
}

TEST_P(ContextTest, KeepsCalleeSavedRegisters) {
  body = [](ContextTest* test, uintptr_t) {
    processor::spoil();
    weft_switch(&test->there, &test->here, 0);
  };
  EXPECT_EQ(processor::kept_sum(&here, &there), 54321u);
}

TEST_P(ContextTest, CountsItsSwitches) {
  static uint32_t seen;
  body = [](ContextTest* test, uintptr_t) { seen = test->there.sequence; };
  weft_switch(&here, &there, 0);
  EXPECT_EQ(seen, 1u);
  EXPECT_EQ(there.sequence, 2u);
  EXPECT_EQ(here.sequence, 2u);
}

INSTANTIATE_TEST_SUITE_P(SetBy, ContextTest, testing::ValuesIn(processor::kWays),
                         [](const auto& each) { return each.param == processor::kWays[0] ? "Processor" : "Kernel"; });

}  // namespace
