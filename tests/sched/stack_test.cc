// SPDX-License-Identifier: Apache-2.0
// Stacks, whichever way their guards came to be: each can be written up to its guard, and the guard is there.
#include "sched/stack.h"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "sched/options.h"

namespace weft {
namespace {

constexpr uint64_t kPage = 4096;

class StackTest : public testing::Test {
 protected:
  void SetUp() override {
    stack_init();
    ASSERT_EQ(pipe(probe_), 0);
  }
  void TearDown() override {
    close(probe_[0]);
    close(probe_[1]);
    stack_give_back_rest();
  }
  // By the kernel, which answers EFAULT at a guard.
  bool readable(const char* address) {
    char byte;
    return write(probe_[1], address, 1) == 1 && read(probe_[0], &byte, 1) == 1;
  }
  StackMemory make(uint64_t size, uint64_t guard) {
    StackMemory stack = {};
    EXPECT_TRUE(stack_allocate(size, guard, &stack));
    return stack;
  }
  // Is there a mapping from `low` to `high` that nobody may touch?
  bool is_forbidden_mapping(const char* low, const char* high) {
    std::ifstream maps("/proc/self/maps");
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%lx-%lx ---p", (unsigned long)low, (unsigned long)high);
    for (std::string line; std::getline(maps, line);)
      if (line.starts_with(wanted)) return true;
    return false;
  }
  void expect_guarded(const StackMemory& stack, uint64_t guard) {
    EXPECT_TRUE(readable(stack.low));
    EXPECT_TRUE(readable(stack.low + stack.size - 1));
    for (uint64_t below = 1; below <= guard; below += kPage - 1) EXPECT_FALSE(readable(stack.low - below)) << below;
    stack.low[0] = stack.low[stack.size - 1] = 1;
  }

 private:
  int probe_[2];
};

// qemu's user emulation (7.2) answers 0 to what it does not know, and does nothing.
TEST_F(StackTest, BelievesInTheGuardThatHolds) {
  constexpr int kGuardInstall = 102;
  char* page = (char*)mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  *page = 1;
  bool said = madvise(page, kPage, kGuardInstall) == 0;
  bool holds = said && !readable(page);
  EXPECT_STREQ(stack_guard_method(), holds ? "MADV_GUARD_INSTALL" : "mprotect");
  RecordProperty("answered", said ? "0" : "an error");
  munmap(page, kPage);
}

TEST_F(StackTest, EveryOneOfManyHasItsGuard) {
  std::vector<StackMemory> stacks;
  for (int i = 0; i < 2000; i++) stacks.push_back(make(16 * kPage, kPage));
  for (const StackMemory& stack : stacks) expect_guarded(stack, kPage);
}

TEST_F(StackTest, KindsOfOnePitchKeepTheirOwnGuards) {
  for (int i = 0; i < 300; i++) {
    expect_guarded(make(20 * kPage, kPage), kPage);
    expect_guarded(make(18 * kPage, 3 * kPage), 3 * kPage);
  }
}

TEST_F(StackTest, GuardsGoOnAfterTheRestWasGivenBack) {
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 40; i++) expect_guarded(make(24 * kPage, kPage), kPage);
    stack_give_back_rest();
  }
}

// Each guard is a mapping of its own then, which is what gdb's gcore needs.
TEST_F(StackTest, GuardsByMprotectAreMappings) {
  options.guards = GuardWay::mprotect;
  stack_init();
  EXPECT_STREQ(stack_guard_method(), "mprotect");
  for (int i = 0; i < 40; i++) {
    StackMemory stack = make(28 * kPage, 2 * kPage);
    expect_guarded(stack, 2 * kPage);
    EXPECT_TRUE(is_forbidden_mapping(stack.low - 2 * kPage, stack.low));
  }
  options.guards = GuardWay::automatic;
  stack_init();
  expect_guarded(make(28 * kPage, 2 * kPage), 2 * kPage);
}

}  // namespace
}  // namespace weft
