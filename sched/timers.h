// SPDX-License-Identifier: Apache-2.0
// Deadlines of waiting coroutines: one binary heap a worker, earliest first.
//
// A timer lives in its coroutine, so the heap holds pointers and never allocates for one. The coroutine may be woken on another
// worker and then takes its timer out of the first one's heap: hence a lock, and the earliest deadline in an atomic word
// so that the loop and the monitor look without it.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/lock.h"
#include "sched/wait.h"

namespace weft {

class TimerHeap;

struct Timer {
  uint64_t deadline = 0;      // nanoseconds, CLOCK_MONOTONIC
  uint64_t ticket = 0;        // of the wait it ends
  TimerHeap* heap = nullptr;  // where it is; null: nowhere. Written under that heap's lock
  uint32_t index = 0;
  Waiter* waiter = nullptr;
};

class TimerHeap {
 public:
  // False: no memory for the heap.
  bool add(Timer* timer, uint64_t deadline, Waiter* waiter, uint64_t ticket);
  // Takes it out if it is still in. Afterwards nobody touches the timer.
  void remove(Timer* timer);
  // Wakes everyone whose deadline is not after `now`; returns how many.
  unsigned fire(uint64_t now);
  uint64_t earliest() const { return earliest_.load(std::memory_order_relaxed); }
  void reset();  // fork child

 private:
  bool grow_locked();
  void place_locked(Timer* timer, uint32_t index);
  void sift_up_locked(uint32_t index);
  void sift_down_locked(uint32_t index);
  void remove_locked(Timer* timer);

  Lock lock_;
  Timer** slots_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  std::atomic<uint64_t> earliest_{kNever};
};

}  // namespace weft
