// SPDX-License-Identifier: Apache-2.0
// Which look-ups of paths go by the ring of files, whose every trip costs as much as a dozen calls that find their path in memory.
//
// Nothing says beforehand that a path will be waited for, and of the calls that take one only open can ask for what is in memory alone.
// So plain calls are timed. After one that was slow a few go by the ring and then one is plain again, which tells: after another slow
// one twice as many go by the ring, after a quick one all are plain. The ring's own time would tell nothing: it is also that of
// coroutines that queue for their turn.
#pragma once

#include <atomic>
#include <cstdint>

#include "asm/cpu.h"
#include "sched/options.h"

namespace weft {

class LookUps {
 public:
  // `left`: that go by the ring at first; `first`: after the first slow one.
  constexpr LookUps(uint32_t left, uint32_t first) : left_(left), round_(first), first_(first) {}

  // The next one is to go by the ring.
  bool by_ring() {
    uint32_t left = left_.load(std::memory_order_relaxed);
    if (!left) return options.files == FileWay::uring;
    left_.store(left - 1, std::memory_order_relaxed);
    return true;
  }

  static uint64_t now() { return cpu::time_stamp(); }

  // A plain one is over that began then.
  void note(uint64_t begun) {
    if (now() - begun < kSlow) [[likely]] {
      if (round_.load(std::memory_order_relaxed) != first_) round_.store(first_, std::memory_order_relaxed);
      return;
    }
    uint32_t round = round_.load(std::memory_order_relaxed);
    left_.store(round, std::memory_order_relaxed);
    if (round < kLongest) round_.store(2 * round, std::memory_order_relaxed);
  }

 private:
  static constexpr uint64_t kSlow = 300'000;  // of the time stamp: 0.1 ms at 3 GHz, five trips
  static constexpr uint32_t kLongest = 64;

  // any thread; what two of them lose by each other is a trip more or less
  std::atomic<uint32_t> left_, round_;
  uint32_t first_;
};

}  // namespace weft
