// SPDX-License-Identifier: Apache-2.0
// Ending a wait exactly once, and the wait of a kernel thread.
#include "sched/wait.h"

#include <cerrno>

#include "asm/cpu.h"
#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

constinit thread_local ThreadState thread_state = {};

// The ticket's wait has ended with `word` before it: whoever waits has left its stack, or will see the reason when it does.
// A kernel thread may have seen it by itself and be gone: of its waiter the address alone is used.
void resume_owner(Waiter* waiter, uint64_t word) {
  if (!(word & Waiter::kSwitchedOut)) return;
  if (!(word & Waiter::kKernelThread)) return make_ready(waiter->coroutine);
  if (chaos_turns) [[unlikely]]
    turn_guest_ready(waiter);
  sys::futex_wake(&waiter->word, 1);
}

bool wake(Waiter* waiter, uint64_t ticket, Wake reason) {
  uint64_t word;
  if (!end_wait(waiter, ticket, reason, &word)) return false;
  resume_owner(waiter, word);
  return true;
}

bool interrupt(Waiter* waiter) {
  cpu::fence_after_atomic();  // what it is interrupted for has been stored; pairs with block_coroutine()
  uint64_t word = waiter->word.load(std::memory_order_relaxed);
  do {
    if (!(word & Waiter::kInterruptible) || (word & Waiter::kReasonMask)) return false;
  } while (!waiter->word.compare_exchange_weak(word, word | (uint64_t)Wake::interrupted, std::memory_order_acq_rel));
  resume_owner(waiter, word);
  return true;
}

Wake block_kernel_thread(Waiter* waiter, uint64_t deadline) {
  timespec until = to_timespec(deadline);
  constexpr uint64_t kSleeps = Waiter::kSwitchedOut | Waiter::kKernelThread;
  uint64_t word = waiter->word.fetch_or(kSleeps, std::memory_order_acq_rel) | kSleeps;
  const uint64_t ticket = word >> 8;
  bool turns = chaos_turns && !(word & Waiter::kReasonMask);
  if (turns) [[unlikely]]
    turn_guest_waits(waiter);
  while (!(word & Waiter::kReasonMask)) {
    long result = sys::futex_wait(&waiter->word, (uint32_t)word, deadline == kNever ? nullptr : &until);
    if (result == -ETIMEDOUT)
      wake(waiter, ticket, Wake::timed_out);
    else if (result == -EINTR && (word & Waiter::kInterruptible))
      wake(waiter, ticket, Wake::interrupted);
    word = waiter->word.load(std::memory_order_acquire);
    // A signal handler has waited meanwhile, and this wait could no longer be ended: its caller looks again.
    if (word >> 8 != ticket) break;
  }
  if (turns) [[unlikely]]
    turn_guest_awaits(waiter);
  if (word >> 8 != ticket) return Wake::unparked;
  return Wake(word & Waiter::kReasonMask);
}

}  // namespace weft
