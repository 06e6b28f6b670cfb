// SPDX-License-Identifier: Apache-2.0
// Which of the signals of CPU time carriers have open, and who takes one that cannot strike where it came.
#include "sched/cpu_time_signals.h"

#include <atomic>
#include <ucontext.h>

#include "sched/coroutine.h"
#include "sched/internal_signals.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/worker.h"

namespace weft {

namespace {

constexpr uint64_t kCpuTime = signal_bit(SIGPROF) | signal_bit(SIGVTALRM);

constinit std::atomic<uint64_t> open{0};

uint64_t& mask_in(void* context) { return *(uint64_t*)&((ucontext_t*)context)->uc_sigmask; }

bool take_elsewhere(int signal) {
  uint64_t bit = signal_bit(signal);
  if (!(main_signal_mask.load(std::memory_order_relaxed) & bit)) {
    sys::call(SYS_tgkill, sys::getpid(), sys::getpid(), signal);
    return true;
  }
  Coroutine* taker = coroutine_with_open(bit);
  if (!taker) return false;
  if (int tid = __atomic_load_n(&taker->signal_tid, __ATOMIC_RELAXED))
    sys::call(SYS_tgkill, sys::getpid(), tid, signal);
  else
    cpu_time_signal_waits(taker, signal);
  return true;
}

// Each carrier that has it open still gets it in turn, and closes.
void leave_to_process(int signal) {
  uint64_t bit = signal_bit(signal);
  open.fetch_and(~bit);
  sys::sigprocmask(SIG_BLOCK, &bit, nullptr);
  sys::call(SYS_kill, sys::getpid(), signal);
}

}  // namespace

bool is_cpu_time_signal(int signal) { return signal_bit(signal) & kCpuTime; }

uint64_t cpu_time_signals_open() { return open.load(std::memory_order_relaxed); }

void cpu_time_signal_handled(int signal) {
  uint64_t bit = signal_bit(signal);
  if (open.fetch_or(bit) & bit) return;
  // Who computes on does not come to its carrier's loop.
  for (uint32_t i = 0; i < coroutine_slots(); i++) signal_kick(coroutine_at(i));
}

void cpu_time_signal_waits(Coroutine* self, int signal) { self->signals_pending.fetch_or(signal_bit(signal)); }

void cpu_time_signal_passes_by(int signal, void* context) {
  if (take_elsewhere(signal)) return;
  leave_to_process(signal);
  mask_in(context) |= signal_bit(signal);
}

void cpu_time_signal_strikes_loop(Carrier* carrier, int signal, void* context) {
  if (open.load() & signal_bit(signal)) {
    carrier->struck.fetch_or(signal_bit(signal), std::memory_order_relaxed);
    return;
  }
  leave_to_process(signal);
  mask_in(context) |= signal_bit(signal);
}

void cpu_time_signals_open_in(Carrier* carrier, void* context) {
  uint64_t wanted = cpu_time_signals_open();
  carrier->cpu_time_signals = wanted;
  mask_in(context) &= ~wanted;
}

void cpu_time_signals_settle(Carrier* carrier, Coroutine* next) {
  uint64_t wanted = cpu_time_signals_open();
  if (carrier->cpu_time_signals != wanted) [[unlikely]] {
    carrier->cpu_time_signals = wanted;
    uint64_t mask = carrier_signal_mask();
    sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
  }
  uint64_t struck = carrier->struck.load(std::memory_order_relaxed);
  if (!struck) [[likely]]
    return;
  carrier->struck.fetch_and(~struck, std::memory_order_relaxed);
  next->signals_pending.fetch_or(struck & ~next->signal_mask);
  for (struck &= next->signal_mask; struck; struck &= struck - 1) {
    int signal = __builtin_ctzll(struck) + 1;
    if (take_elsewhere(signal)) continue;
    leave_to_process(signal);
    carrier->cpu_time_signals &= ~signal_bit(signal);
  }
}

}  // namespace weft
