// SPDX-License-Identifier: Apache-2.0
#include "sched/clock.h"

#include <gtest/gtest.h>

#include "sched/wait.h"

namespace weft {
namespace {

constexpr uint64_t kSecond = 1000000000;

uint64_t libc_ns(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * kSecond + (uint64_t)time.tv_nsec;
}

TEST(Clock, AgreesWithLibcBeforeAndAfterInit) {
  for (int round = 0; round < 2; round++) {
    for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
      uint64_t before = libc_ns(clock), ours = clock_ns(clock), after = libc_ns(clock);
      EXPECT_LE(before, ours);
      EXPECT_LE(ours, after);
    }
    clock_init();
  }
}

TEST(Clock, AbsoluteTimesBecomeDeadlines) {
  clock_init();
  timespec past = {1, 0}, negative = {-5, 0}, far = {INT64_MAX, 0};
  EXPECT_EQ(deadline_at(CLOCK_REALTIME, &past), 0u);
  EXPECT_EQ(deadline_at(CLOCK_MONOTONIC, &negative), 0u);
  EXPECT_EQ(deadline_at(CLOCK_REALTIME, &far), kNever);
  timespec soon = to_timespec(libc_ns(CLOCK_REALTIME) + 10 * kSecond);
  uint64_t before = now_ns(), deadline = deadline_at(CLOCK_REALTIME, &soon), after = now_ns();
  EXPECT_GE(deadline + kSecond, before + 10 * kSecond);
  EXPECT_LE(deadline, after + 10 * kSecond);
  timespec same = to_timespec(now_ns() + 5 * kSecond);
  EXPECT_EQ(to_timespec(deadline_at(CLOCK_MONOTONIC, &same)).tv_nsec, same.tv_nsec);
}

TEST(Clock, RelativeTimesSaturate) {
  EXPECT_EQ(deadline_in(kNever), kNever);
  uint64_t before = now_ns();
  EXPECT_GE(deadline_in(kSecond), before + kSecond);
}

}  // namespace
}  // namespace weft
