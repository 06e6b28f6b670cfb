// SPDX-License-Identifier: Apache-2.0
// What every hook file starts from.
//
// A hook reads:
//   WEFT_EXPORT int name(arguments) {
//     Coroutine* self = woven();            // null in a guest, a pinned coroutine, a vfork child
//     if (!self) return real().name(...);
//     cancellation_point(self);             // where POSIX names one; may not return
//     check_turn(self);                     // others get theirs
//     ... woven, or in_region(kind, [&] { return real().name(...); })
//   }
// errno is touched only as the man page says. Nothing with a destructor is live across a park: a cancelled or exiting thread
// is unwound through hooks.
#pragma once

#include <cerrno>

#include "hook/real.h"
#include "sched/chaos.h"
#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/parking_lot.h"
#include "sched/poller.h"
#include "sched/signals.h"
#include "sched/clock.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

#define WEFT_EXPORT extern "C" [[gnu::visibility("default")]]

namespace weft {

// Before the first thread (hook/init.cc); what follows the first call does nothing.
void library_begin();

// Ends the thread if a cancellation is pending and enabled (hook/cancel.cc).
void cancel_now();

inline void cancellation_point(Coroutine* self) {
  if (cancel_wanted(self)) [[unlikely]]
    cancel_now();
  if (signals_wanted(self)) [[unlikely]]
    deliver_signals_now();
}

// How a call begins that is a cancellation point.
inline void enter_call(Coroutine* self) {
  cancellation_point(self);
  check_turn(self);
}

// After a wait said `interrupted`: runs cancellation and handlers. The error with which the call is to end: EINTR, or what co_cancel or
// a deadline has set; 0: restart it (every handler that ran had SA_RESTART and the call is one that restarts).
int interrupted_call_ends(Coroutine* self, bool call_restarts);

// An error of the raw kind (-errno) as a C function returns it.
inline long as_errno(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

// A library has lost its RTLD_DEEPBIND. That is said once there are threads: a program that makes none has no locks that
// could hang, and nothing it can see of weft (hook/process.cc).
extern std::atomic<bool> deep_binding_unsaid;
void say_deep_binding();

// As pthread_kill and its kin: 0 or EAGAIN; to the caller itself it is delivered at once (hook/signal.cc).
int signal_send(Coroutine* target, int signal, const siginfo_t& info);

// What comes with an error, SIGPIPE or SIGXFSZ: for the coroutine, by its own mask (hook/signal.cc).
void raise_own(Coroutine* self, int signal);

// A region for a call that sets errno, which leaving must not change. In all but a brief one the coroutine's signals are the kernel's:
// they interrupt the call as they would natively.
template <class Call>
auto blocking_call(RegionKind kind, Call call) {
  Coroutine* self = woven();
  bool window_wanted = self && kind != RegionKind::brief && !self->region_depth;
  SignalWindow window;
  region_enter(kind);
  if (window_wanted) signal_window_open(&window, self, true);
  auto result = call();
  int error = errno;
  if (window_wanted) signal_window_close(&window);
  region_leave();
  errno = error;
  return result;
}

// The same for a raw system call where glibc's own would be a cancellation point: a cancel that comes meanwhile unwinds out of it.
template <class Call>
long cancellable_call(RegionKind kind, Call call) {
  return blocking_call(kind, [&] {
    real().pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    long result = call();
    real().pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, nullptr);
    return result;
  });
}

}  // namespace weft
