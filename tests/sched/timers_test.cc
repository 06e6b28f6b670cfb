// SPDX-License-Identifier: Apache-2.0
#include "sched/timers.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <random>
#include <vector>

namespace weft {
namespace {

struct Sleeper {
  Timer timer;
  Waiter waiter;  // of a kernel thread: waking it is a word and a futex call
  uint64_t ticket = 0;

  bool sleep(TimerHeap& heap, uint64_t deadline) {
    ticket = waiter.begin(false);
    return heap.add(&timer, deadline, &waiter, ticket);
  }
  bool woken() const { return waiter.reason() == Wake::timed_out; }
};

TEST(Timers, FireInOrderAndNoneTooEarly) {
  TimerHeap heap;
  EXPECT_EQ(heap.earliest(), kNever);
  std::vector<Sleeper> sleepers(3000);  // more than the first page of slots
  std::mt19937_64 random(1);
  for (Sleeper& sleeper : sleepers) ASSERT_TRUE(sleeper.sleep(heap, random() % 1000 + 1));
  unsigned fired = 0;
  for (uint64_t now = 0; now <= 1000; now += 25) {
    fired += heap.fire(now);
    uint64_t earliest = kNever;
    for (const Sleeper& sleeper : sleepers) {
      ASSERT_EQ(sleeper.woken(), sleeper.timer.deadline <= now);
      if (!sleeper.woken()) earliest = std::min(earliest, sleeper.timer.deadline);
    }
    ASSERT_EQ(heap.earliest(), earliest);
  }
  EXPECT_EQ(fired, sleepers.size());
}

TEST(Timers, RandomAddsAndRemovesKeepTheEarliest) {
  TimerHeap heap;
  std::vector<Sleeper> sleepers(200);
  std::mt19937_64 random(2);
  for (int step = 0; step < 20000; step++) {
    Sleeper& sleeper = sleepers[random() % sleepers.size()];
    if (sleeper.timer.heap)
      heap.remove(&sleeper.timer);
    else
      ASSERT_TRUE(sleeper.sleep(heap, random() % 100000));
    uint64_t earliest = kNever;
    for (const Sleeper& other : sleepers)
      if (other.timer.heap) earliest = std::min(earliest, other.timer.deadline);
    ASSERT_EQ(heap.earliest(), earliest);
  }
}

TEST(Timers, OneThatIsNotInCanBeTakenOut) {
  TimerHeap heap, other;
  Sleeper sleeper;
  heap.remove(&sleeper.timer);
  ASSERT_TRUE(sleeper.sleep(heap, 5));
  other.remove(&sleeper.timer);
  EXPECT_EQ(heap.earliest(), 5u);
  EXPECT_EQ(heap.fire(5), 1u);
  heap.remove(&sleeper.timer);
  EXPECT_EQ(heap.earliest(), kNever);
}

TEST(Timers, AWaitThatHasEndedIsNotCounted) {
  TimerHeap heap;
  Sleeper sleeper;
  ASSERT_TRUE(sleeper.sleep(heap, 5));
  ASSERT_TRUE(wake(&sleeper.waiter, sleeper.ticket, Wake::unparked));
  EXPECT_EQ(heap.fire(10), 0u);
  EXPECT_EQ(sleeper.waiter.reason(), Wake::unparked);
  ASSERT_TRUE(sleeper.sleep(heap, 20));
  EXPECT_FALSE(wake(&sleeper.waiter, sleeper.ticket - 1, Wake::unparked)) << "a late waker ended the next wait";
  EXPECT_EQ(heap.fire(20), 1u);
}

TEST(Timers, ResetForgetsThem) {
  TimerHeap heap;
  Sleeper sleeper;
  ASSERT_TRUE(sleeper.sleep(heap, 5));
  heap.reset();
  EXPECT_EQ(heap.earliest(), kNever);
  EXPECT_EQ(heap.fire(kNever - 1), 0u);
  EXPECT_FALSE(sleeper.woken());
}

}  // namespace
}  // namespace weft
