// SPDX-License-Identifier: Apache-2.0
// Signals: masks, sending, waiting, actions, alternate stacks, and longjmp, which may leave a handler.
//
// What a coroutine's mask and queue are, and how handlers come to run in it, is sched/signals.h. Handlers of the
// program are installed in the kernel as they are. A guest's calls are the real ones; only that main's mask is noted,
// for the relay.
//
// sigsetjmp in a coroutine keeps the coroutine's mask, as libc's would the carrier's. libc is told to save none, and the
// mask lies where it would have put its own, with the place that the buffer goes back to, so that what an earlier use of
// the buffer has left is not taken for it.
#include "hook/hook.h"

#include <cstring>

#include "asm/jump_buffer.h"
#include "sched/alternate_stack.h"
#include "sched/handler_entry.h"
#include "sched/internal_signals.h"
#include "sched/runtime.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr int kLastSignal = 64;

bool valid_signal(int signal) { return signal > 0 && signal <= kLastSignal && signal != 32 && signal != 33; }

// The kernel knows the first 64 bits of a sigset_t alone; the rest is left as it is.
uint64_t load_set(const sigset_t* set) {
  uint64_t bits;
  memcpy(&bits, set, sizeof bits);
  return bits;
}
void store_set(sigset_t* set, uint64_t bits) { memcpy(set, &bits, sizeof bits); }

// 0 or an error number.
int change_mask(Coroutine* self, int how, const sigset_t* set, sigset_t* old) {
  uint64_t before = self->signal_mask;
  uint64_t after = before;
  if (set) {
    uint64_t bits = load_set(set);
    if (how == SIG_BLOCK)
      after |= bits;
    else if (how == SIG_UNBLOCK)
      after &= ~bits;
    else if (how == SIG_SETMASK)
      after = bits;
    else
      return EINVAL;
  }
  if (old) store_set(old, before);
  if (set) set_signal_mask(self, after);
  return 0;
}

// A guest's or pinned coroutine's mask has been changed by the real call.
int noted(int result) {
  if (runtime_started() && !thread_state.vfork_child) guest_signal_mask_changed();
  return result;
}

// Takes a signal of `set` that is there already, of this coroutine or of the process; 0: there is none.
int take_pending(Coroutine* self, const sigset_t* set, siginfo_t* info) {
  uint64_t bits = load_set(set);
  siginfo_t found = {};
  int signal = signal_take(self, bits, &found);
  if (!signal) {
    timespec at_once = {};
    long result = sys::call(SYS_rt_sigtimedwait, sys::word(&bits), sys::word(&found), sys::word(&at_once), 8);
    if (result > 0) signal = (int)result;
  }
  if (signal && info) *info = found;
  return signal;
}

// What a coroutine's sigsetjmp has kept in __saved_mask.
struct KeptMask {
  uint64_t mask;
  const void* code;
  const void* stack;
};

void before_longjmp(const __jmp_buf_tag* environment) {
  Coroutine* self = thread_state.identity;
  if (self && self->window) [[unlikely]]
    signal_window_leave(jump_stack_pointer(environment), environment->__mask_was_saved);
  if (self) handler_entry_left(self);
  KeptMask kept;
  memcpy(&kept, &environment->__saved_mask, sizeof kept);
  if (environment->__mask_was_saved || kept.stack != jump_stack_pointer(environment) ||
      kept.code != jump_pc(environment))
    return;
  sigset_t set;
  memset(&set, 0, sizeof set);
  store_set(&set, kept.mask);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

// The mask that a call waits with is the kernel's.
void before_suspending() {
  if (Coroutine* self = woven()) {
    cancellation_point(self);
    pin_current(PinReason::signal_wait);
  } else {
    handler_waits();
  }
}

sigset_t set_of(int signal) {
  sigset_t set;
  memset(&set, 0, sizeof set);
  store_set(&set, signal_bit(signal));
  return set;
}

// libc changes the action itself.
template <class Call>
sighandler_t changing_action(int signal, Call call) {
  if (thread_state.vfork_child) return call();
  sighandler_t programs = handler_of_program(signal, (sighandler_t)kernel_action(signal).handler);
  sighandler_t before = call();
  if (before != SIG_ERR && before != SIG_HOLD) before = programs;
  handler_entry_recheck(signal);
  return before;
}

sighandler_t set_handler(int signal, sighandler_t handler, int flags) {
  struct sigaction action = {}, old;
  action.sa_handler = handler;
  action.sa_flags = flags;
  return sigaction(signal, &action, &old) ? SIG_ERR : old.sa_handler;
}

}  // namespace

int signal_send(Coroutine* target, int signal, const siginfo_t& info) {
  // An ended thread that is not joined yet takes signals without effect, as in glibc.
  if (target->ending.load(std::memory_order_acquire) & Coroutine::kFinished) return 0;
  int error = signal_post(target, signal, info);
  if (target == woven()) deliver_signals_now();
  return error;
}

void raise_own(Coroutine* self, int signal) {
  int error = errno;
  signal_post(self, signal, signal_info_of_sender(signal, SI_USER));
  deliver_signals_now();
  errno = error;
}

int interrupted_call_ends(Coroutine* self, bool call_restarts) {
  if (cancel_wanted(self)) cancel_now();
  int error = errno;
  deliver_signals_now();
  errno = error;
  uint8_t ran = self->handlers_ran;
  self->handlers_ran = 0;
  if (int early = waits_end_with(self)) return early;
  return ran & (call_restarts ? kHandlerRan : kHandlerRan | kRestartingHandlerRan) ? EINTR : 0;
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  Coroutine* self = woven();
  return self ? change_mask(self, how, set, old) : noted(real().pthread_sigmask(how, set, old));
}

WEFT_EXPORT int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  Coroutine* self = woven();
  if (!self) return noted(real().sigprocmask(how, set, old));
  int error = change_mask(self, how, set, old);
  if (!error) return 0;
  errno = error;
  return -1;
}

WEFT_EXPORT int sighold(int signal) noexcept {
  if (!woven()) return noted(real().sighold(signal));
  if (!valid_signal(signal)) return (int)as_errno(-EINVAL);
  sigset_t set = set_of(signal);
  return sigprocmask(SIG_BLOCK, &set, nullptr);
}

WEFT_EXPORT int sigrelse(int signal) noexcept {
  if (!woven()) return noted(real().sigrelse(signal));
  if (!valid_signal(signal)) return (int)as_errno(-EINVAL);
  sigset_t set = set_of(signal);
  return sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

WEFT_EXPORT int sigblock(int mask) noexcept {
  Coroutine* self = woven();
  if (!self) return noted(real().sigblock(mask));
  int before = (int)self->signal_mask;
  set_signal_mask(self, self->signal_mask | (unsigned)mask);
  return before;
}

WEFT_EXPORT int sigsetmask(int mask) noexcept {
  Coroutine* self = woven();
  if (!self) return noted(real().sigsetmask(mask));
  int before = (int)self->signal_mask;
  set_signal_mask(self, (unsigned)mask);
  return before;
}

WEFT_EXPORT int siggetmask(void) noexcept {
  Coroutine* self = woven();
  return self ? (int)self->signal_mask : real().siggetmask();
}

WEFT_EXPORT int sigpending(sigset_t* set) noexcept {
  int result = real().sigpending(set);
  Coroutine* self = woven();
  if (self && result == 0) store_set(set, load_set(set) | self->signals_pending.load(std::memory_order_relaxed));
  return result;
}

WEFT_EXPORT int pthread_kill(pthread_t thread, int signal) noexcept {
  Coroutine* target = thread_state.vfork_child ? nullptr : coroutine_of(thread);
  if (!target) return real().pthread_kill(thread, signal);
  if (signal == 0) return 0;
  if (!valid_signal(signal)) return EINVAL;
  return signal_send(target, signal, signal_info_of_sender(signal, SI_TKILL));
}

WEFT_EXPORT int pthread_sigqueue(pthread_t thread, int signal, const sigval value) noexcept {
  Coroutine* target = thread_state.vfork_child ? nullptr : coroutine_of(thread);
  if (!target) return real().pthread_sigqueue(thread, signal, value);
  if (signal == 0) return 0;
  if (!valid_signal(signal)) return EINVAL;
  siginfo_t info = signal_info_of_sender(signal, SI_QUEUE);
  info.si_value = value;
  return signal_send(target, signal, info);
}

WEFT_EXPORT int tgkill(pid_t process, pid_t thread, int signal) noexcept {
  Coroutine* target = thread_state.vfork_child || process != sys::getpid() ? nullptr : coroutine_by_tid(thread);
  if (!target) return real().tgkill(process, thread, signal);
  if (signal == 0) return 0;
  if (!valid_signal(signal)) return (int)as_errno(-EINVAL);
  return (int)as_errno(-signal_send(target, signal, signal_info_of_sender(signal, SI_TKILL)));
}

// The kernel takes a thread's number for its process.
WEFT_EXPORT int kill(pid_t process, int signal) noexcept {
  if (!thread_state.vfork_child && coroutine_by_tid(process)) process = (pid_t)sys::getpid();
  return real().kill(process, signal);
}

WEFT_EXPORT int raise(int signal) noexcept {
  Coroutine* self = woven();
  if (!self) return real().raise(signal);
  if (signal == 0) return 0;
  if (!valid_signal(signal)) return (int)as_errno(-EINVAL);
  return (int)as_errno(-signal_send(self, signal, signal_info_of_sender(signal, SI_TKILL)));
}

WEFT_EXPORT int sigaction(int signal, const struct sigaction* action, struct sigaction* old) noexcept {
  int result;
  if (!thread_state.vfork_child && own_handler_sigaction(signal, action, old, &result)) return result;
  // A sanitizer's runtime calls before ours is there.
  return real_calls.sigaction ? program_sigaction(signal, action, old) : real().sigaction(signal, action, old);
}

WEFT_EXPORT sighandler_t signal(int signal, sighandler_t handler) noexcept {
  if (thread_state.vfork_child || !own_handler_stands(signal) || handler == SIG_ERR)
    return changing_action(signal, [&] { return real().signal(signal, handler); });
  return set_handler(signal, handler, SA_RESTART);
}

WEFT_EXPORT sighandler_t sysv_signal(int signal, sighandler_t handler) noexcept {
  if (thread_state.vfork_child || !own_handler_stands(signal) || handler == SIG_ERR)
    return changing_action(signal, [&] { return real().sysv_signal(signal, handler); });
  return set_handler(signal, handler, (int)SA_RESETHAND | SA_NODEFER);
}

WEFT_EXPORT sighandler_t sigset(int signal, sighandler_t handler) noexcept {
  if (!woven() && !own_handler_stands(signal)) {
    sighandler_t before = changing_action(signal, [&] { return real().sigset(signal, handler); });
    noted(0);
    return before;
  }
  if (!valid_signal(signal) || handler == SIG_ERR) {
    errno = EINVAL;
    return SIG_ERR;
  }
  sigset_t set = set_of(signal), before;
  if (handler == SIG_HOLD) {
    struct sigaction old;
    if (sigaction(signal, nullptr, &old)) return SIG_ERR;
    sigprocmask(SIG_BLOCK, &set, &before);
    return load_set(&before) & signal_bit(signal) ? SIG_HOLD : old.sa_handler;
  }
  sighandler_t old = set_handler(signal, handler, 0);
  if (old == SIG_ERR) return old;
  sigprocmask(SIG_UNBLOCK, &set, &before);
  return load_set(&before) & signal_bit(signal) ? SIG_HOLD : old;
}

// The kernel's alternate stack of a carrier is weft's, for the report of an overflow; what the program sets for a
// coroutine is kept, shown, and given to the kernel while handlers may run and when the coroutine is pinned.
WEFT_EXPORT int sigaltstack(const stack_t* stack, stack_t* old) noexcept {
  Coroutine* self = thread_state.identity;
  if (!self || self->pinned || thread_state.vfork_child) return real().sigaltstack(stack, old);
  bool in_use = on_alternate_stack(self, __builtin_frame_address(0));
  stack_t before = alternate_stack_seen_by_program(self);
  if (in_use) before.ss_flags |= SS_ONSTACK;
  if (stack) {
    unsigned flags = (unsigned)stack->ss_flags & ~kAutoDisarm;
    if (in_use) return (int)as_errno(-EPERM);
    if (flags != 0 && flags != SS_DISABLE && flags != SS_ONSTACK) return (int)as_errno(-EINVAL);
    if (flags != SS_DISABLE && stack->ss_size < (size_t)MINSIGSTKSZ) return (int)as_errno(-ENOMEM);
    self->alternate_stack = stack->ss_sp;
    self->alternate_size = flags == SS_DISABLE ? 0 : stack->ss_size;
    self->alternate_flags = stack->ss_flags & (int)kAutoDisarm;
    if (self->window) signal_window_alternate(self);
  }
  if (old) *old = before;
  return 0;
}

WEFT_EXPORT int sigsuspend(const sigset_t* mask) {
  before_suspending();
  return real().sigsuspend(mask);
}

WEFT_EXPORT int __xpg_sigpause(int signal) {
  before_suspending();
  return real().__xpg_sigpause(signal);
}

// The header's sigpause is the one above; BSD's, which takes a mask, has the plain name in the library.
WEFT_EXPORT int bsd_sigpause(int mask) asm("sigpause");
int bsd_sigpause(int mask) {
  before_suspending();
  return real().sigpause(mask);
}

WEFT_EXPORT int sigwait(const sigset_t* set, int* signal) {
  if (Coroutine* self = woven()) {
    cancellation_point(self);
    if (int found = take_pending(self, set, nullptr)) {
      *signal = found;
      return 0;
    }
    pin_current(PinReason::signal_wait);
  }
  return real().sigwait(set, signal);
}

WEFT_EXPORT int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  if (Coroutine* self = woven()) {
    cancellation_point(self);
    if (int found = take_pending(self, set, info)) return found;
    pin_current(PinReason::signal_wait);
  }
  return real().sigwaitinfo(set, info);
}

WEFT_EXPORT int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  if (Coroutine* self = woven()) {
    cancellation_point(self);
    if (int found = take_pending(self, set, info)) return found;
    if (timeout && !timeout->tv_sec && !timeout->tv_nsec) return (int)as_errno(-EAGAIN);
    pin_current(PinReason::signal_wait);
  }
  return real().sigtimedwait(set, info, timeout);
}

// Called by the stub of __sigsetjmp: where the call goes on, and what it saves.
extern "C" void* weft_sigsetjmp_target(__jmp_buf_tag* environment, int* save_mask, const void* code,
                                       const void* stack) {
  Coroutine* self = woven();
  if (self && *save_mask) {
    *save_mask = 0;
    KeptMask kept = {self->signal_mask, code, stack};
    memcpy(&environment->__saved_mask, &kept, sizeof kept);
  } else if (!*save_mask) {
    // The same place again, this time without the mask. Nothing else is written to: a cleanup buffer is shorter.
    KeptMask kept;
    memcpy(&kept, &environment->__saved_mask, sizeof kept);
    if (kept.code == code && kept.stack == stack) memset(&environment->__saved_mask, 0, sizeof kept);
  }
  return (void*)real().__sigsetjmp.get();
}

WEFT_EXPORT void longjmp(__jmp_buf_tag environment[1], int value) noexcept {
  before_longjmp(environment);
  real().longjmp(environment, value);
  __builtin_unreachable();
}

WEFT_EXPORT void __longjmp_chk(__jmp_buf_tag environment[1], int value) noexcept {
  before_longjmp(environment);
  real().__longjmp_chk(environment, value);
  __builtin_unreachable();
}
