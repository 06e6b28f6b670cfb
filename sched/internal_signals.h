// SPDX-License-Identifier: Apache-2.0
// Signals that are not the program's business: the two that glibc keeps for itself (tls_guard_internal_signals of tls_block.h), and
// handlers of weft's own, which stand where the program has the default action and go on to it.
#pragma once

#include <csignal>
#include <cstdint>

namespace weft {

// What the kernel keeps for a signal; glibc's struct sigaction is another one.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};
KernelAction kernel_action(int signal);

constexpr uint64_t signal_bit(int signal) { return uint64_t{1} << (signal - 1); }

// glibc installs its handler of signal 32 at the first real pthread_cancel: to be called after each.
void internal_signals_recheck();

// Makes the kernel thread `tid` look whether the coroutine it runs has signals to deliver; see sched/signals.h.
void kick_carrier(int tid);

// A stack overflow of a coroutine is told by name before the process dies of it.
void guard_report_init();

// The program's sigaction(2) of a signal where a handler of weft's own stands or may stand. False: the real call is due.
bool own_handler_sigaction(int signal, const struct sigaction* wanted, struct sigaction* old, int* result);

}  // namespace weft
