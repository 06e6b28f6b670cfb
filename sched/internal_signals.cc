// SPDX-License-Identifier: Apache-2.0
// glibc's own signals on carriers.
//
// setuid() and kin send signal 33 to every kernel thread and wait until each has cleared a bit in its TCB. On a carrier
// that runs a coroutine, fs shows the coroutine's TCB: the bit of the wrong thread would be cleared, and setuid would
// never return. So our handler stands before glibc's: it loads the carrier's own fs, calls glibc's, and loads the
// coroutine's again. Signal 32 (cancellation) is another matter: it means the coroutine, not the carrier.
//
// Between the two loads nothing may touch TLS: no errno, no stack protector (the library is built without), no lazy
// binding (-z now). The handlers are installed by the raw system call, because glibc's sigaction refuses these numbers;
// the restorer is that of the handler which is replaced.
//
// Signal 32 with a value of our own is weft's kick: carriers block everything else. Its handler runs on the stack it
// interrupts, as the program's handlers do that it lets run; that of 33 on the alternate stack, as glibc has it.
#include "sched/internal_signals.h"

#include <atomic>
#include <dlfcn.h>

#include "asm/context.h"
#include "asm/cpu.h"
#include "sched/coroutine.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/worker.h"

namespace weft {

namespace {

using Handler = void (*)(int, siginfo_t*, void*);

constinit std::atomic<Handler> next_handler[2] = {};
constinit char kick_mark = 0;  // its address is the value of a kick

// Is it for the thread of control with these bits? The signal goes to a carrier, which may have gone on to run another coroutine, and
// glibc's handler would cancel whoever is there in a call of libc's.
bool is_cancelled(int bits) {
  if (bits & kEndingBits) return false;
  int cancel = bits & (kCancelingBit | kCanceledBit);
  return cancel == kCancelingBit || (cancel == kCanceledBit && !(bits & kCancelDisabledBit));
}

// Sent by hook/cancel.cc to a coroutine that is a kernel thread for now, or that may be in a call of libc's which knows
// nothing of weft: glibc's handler is to find its TCB. To others it comes too late, and they look for themselves.
void pass_on_cancel(Handler next, Coroutine* self, int signal, siginfo_t* info, void* context) {
  int* bits = cancelhandling_of(tcb_of(__builtin_thread_pointer()));
  bool woven_call = !self->pinned && !self->region_depth && thread_state.woven;
  if (bits ? !is_cancelled(__atomic_load_n(bits, __ATOMIC_RELAXED)) : woven_call) return;
  if (woven_call) {
    if (self->carrier->inside.load(std::memory_order_relaxed) || thread_state.lot_depth) {
      // Called by weft itself, which cannot be unwound out of here: the call goes on, and the flag is seen after it.
      __atomic_fetch_or(bits, kCanceledBit, __ATOMIC_RELAXED);
      return;
    }
    uint64_t mask = carrier_signal_mask();  // glibc's handler may not return
    sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
  }
  next(signal, info, context);
}

void on_internal_signal(int signal, siginfo_t* info, void* context) {
  if (signal == kCancelSignal && info->si_code == SI_QUEUE && info->si_value.sival_ptr == &kick_mark) {
    deliver_in_interrupted_code(context);
    return;
  }
  Handler next = next_handler[signal - kCancelSignal].load(std::memory_order_relaxed);
  if (!next) return;
  Coroutine* self = thread_state.identity;
  if (!self) {
    // Between two coroutines, glibc's bits are those of the carrier, which nobody cancels.
    if (signal != kCancelSignal || !thread_state.carrier) next(signal, info, context);
    return;
  }
  if (signal == kCancelSignal) {
    pass_on_cancel(next, self, signal, info, context);
    return;
  }
  // By hand: for the compiler the thread pointer is a constant of the function, to be read where it likes.
  tls_block_setxid_came();
  void* own = cpu::thread_pointer_now();
  weft_load_fs(self->carrier->loop.fs);
  next(signal, info, context);
  weft_load_fs(own);
}

void install(int signal, KernelAction action) {
  next_handler[signal - kCancelSignal].store((Handler)action.handler, std::memory_order_relaxed);
  action.handler = (void*)on_internal_signal;
  sys::call(SYS_rt_sigaction, signal, sys::word(&action), 0, 8);
}

bool is_glibcs(const KernelAction& action) {
  return action.handler && action.handler != (void*)SIG_IGN && action.handler != (void*)on_internal_signal;
}

}  // namespace

KernelAction kernel_action(int signal) {
  KernelAction action = {};
  sys::call(SYS_rt_sigaction, signal, 0, sys::word(&action), 8);
  return action;
}

int* cancelhandling_of(const void* tcb) {
  static std::atomic<unsigned> known{~0u};
  unsigned offset = known.load(std::memory_order_relaxed);
  if (offset == ~0u) {
    auto* field = (const uint32_t*)dlsym(RTLD_DEFAULT, "_thread_db_pthread_cancelhandling");  // bits, count, offset
    offset = field && field[0] == 32 ? field[2] : 0;
    known.store(offset, std::memory_order_relaxed);
  }
  return offset ? (int*)((char*)tcb + offset) : nullptr;
}

void tls_guard_internal_signals() { internal_signals_recheck(); }

void internal_signals_recheck() {
  KernelAction setxid = kernel_action(kSetxidSignal), cancel = kernel_action(kCancelSignal);
  if (is_glibcs(setxid)) install(kSetxidSignal, setxid);
  if (cancel.handler && !is_glibcs(cancel)) return;
  if (!cancel.handler) cancel = {nullptr, setxid.flags, setxid.restorer, 0};
  cancel.flags &= ~(unsigned long)SA_ONSTACK;
  install(kCancelSignal, cancel);
}

void kick_carrier(int tid) {
  siginfo_t info = {};
  info.si_signo = kCancelSignal;
  info.si_code = SI_QUEUE;
  info.si_value.sival_ptr = &kick_mark;
  sys::call(SYS_rt_tgsigqueueinfo, sys::getpid(), tid, kCancelSignal, sys::word(&info));
}

}  // namespace weft
