// SPDX-License-Identifier: Apache-2.0
// The runtime's own lock: held for a few instructions, spins a little, then sleeps in the kernel, so that a holder that was
// preempted is not waited for by a real-time spinner on the same CPU. Never held across a switch. Taking it and letting go of it are full
// barriers: waiters and those who wake them rely on that.
#pragma once

#include <atomic>
#include <cstdint>

#include "asm/cpu.h"
#include "sched/sys.h"

namespace weft {

class Lock {
 public:
  void lock() {
    uint32_t expected = 0;
    if (!word_.compare_exchange_strong(expected, 1, std::memory_order_acquire)) lock_slow();
    cpu::fence_after_atomic();
  }
  bool try_lock() {
    uint32_t expected = 0;
    bool taken = word_.compare_exchange_strong(expected, 1, std::memory_order_acquire);
    cpu::fence_after_atomic();
    return taken;
  }
  void unlock() {
    // Release pairs with the acquire in lock(): what was written under the lock is seen by the next holder.
    uint32_t before = word_.exchange(0, std::memory_order_release);
    cpu::fence_after_atomic();
    if (before == 2) sys::futex_wake(&word_, 1);
  }
  // For a fork child: whoever held it is not there any more.
  void reset() { word_.store(0, std::memory_order_relaxed); }

 private:
  void lock_slow() {
    for (int i = 0; i < 100; i++) {
      uint32_t expected = 0;
      if (word_.load(std::memory_order_relaxed) == 0 &&
          word_.compare_exchange_strong(expected, 1, std::memory_order_acquire))
        return;
      cpu::pause();
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0) sys::futex_wait(&word_, 2);
  }

  std::atomic<uint32_t> word_{0};  // 0 free, 1 held, 2 held and somebody sleeps
};

class [[nodiscard]] Locked {
 public:
  explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
  ~Locked() { lock_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Lock& lock_;
};

}  // namespace weft
