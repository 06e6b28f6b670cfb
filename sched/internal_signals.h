// SPDX-License-Identifier: Apache-2.0
// Signals that are not the program's business: the two that glibc keeps for itself (tls_guard_internal_signals of
// tls_block.h), and handlers of weft's own, which stand where the program has the default action and go on to it.
#pragma once

#include <csignal>
#include <cstdint>

#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

// What the kernel keeps for a signal; glibc's struct sigaction is another one.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};
KernelAction kernel_action(int signal);

constexpr int kCancelSignal = 32, kSetxidSignal = 33;
constexpr int kTimerSignal = kCancelSignal;  // what glibc's own helper of timers takes, too

constexpr uint64_t signal_bit(int signal) { return uint64_t{1} << (signal - 1); }

// A kernel thread that is no carrier, or one with an open window, may be interrupted at any place: while a lock of the
// runtime that handlers may want is held, they wait.
class [[nodiscard]] HandlersWait {
 public:
  HandlersWait() : needed_(!woven()) {
    uint64_t everything = ~uint64_t{0};
    if (needed_) sys::sigprocmask(SIG_BLOCK, &everything, &before_);
  }
  ~HandlersWait() {
    if (needed_) sys::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  HandlersWait(const HandlersWait&) = delete;
  HandlersWait& operator=(const HandlersWait&) = delete;

 private:
  bool needed_;
  uint64_t before_ = 0;
};

// glibc installs its handler of signal 32 at the first real pthread_cancel: to be called after each.
void internal_signals_recheck();

// What glibc keeps in a thread's TCB of its cancellation: `cancelhandling`, with the bits that its descr.h has. Null: its debugger
// interface does not say where. Not from a signal handler before it has been asked for once.
//
// There are two ways in which its calls that are cancellation points come to act, and no version is asked for: the bits that its
// pthread_cancel has left say which one it is.
//   both bits, or kCancelingBit alone   (2.36) A call makes the thread's cancellation asynchronous for as long as it lasts. Alone: the
//       thread is in one, its handler is to come and sets the other bit, and the call does not return before. Both: it was in none.
//   kCanceledBit alone   (2.41, where the other has gone) The handler acts if what it interrupted is the one place from which all such
//       calls enter the kernel, and there the bit is looked at first. It does not look whose bit is set. Who is in a call cannot be seen.
constexpr int kCancelDisabledBit = 0x01;
constexpr int kCancelingBit = 0x04;
constexpr int kCanceledBit = 0x08;
constexpr int kEndingBits = 0x10 | 0x20;
int* cancelhandling_of(const void* tcb);

// Makes the kernel thread `tid` look whether the coroutine it runs has signals to deliver; see sched/signals.h.
void kick_carrier(int tid);

// A stack overflow of a coroutine is told by name before the process dies of it.
void guard_report_init();
void dump_signal_init();  // WEFT_DUMP_SIGNAL; from the constructor, so that it ends no program that has no threads yet
bool report_overflow(const Coroutine* self, const siginfo_t* info, const void* context);  // false: it is none
void default_action(int signal);                                                          // in the kernel

// Is weft's own handler in the kernel, where the program sees the default action?
bool own_handler_stands(int signal);
// The program's sigaction(2) of a signal where a handler of weft's own stands or may stand. False: the real call is
// due.
bool own_handler_sigaction(int signal, const struct sigaction* wanted, struct sigaction* old, int* result);

}  // namespace weft
