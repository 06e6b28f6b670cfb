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
#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/parking_lot.h"
#include "sched/poller.h"
#include "sched/clock.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

#define WEFT_EXPORT extern "C" [[gnu::visibility("default")]]

namespace weft {

// Acts on a pending cancellation of the running coroutine (hook/cancel.cc) and delivers its pending signals (hook/signal.cc).
void cancel_now();           // ends the thread if a cancel is pending and enabled
void deliver_signals_now();  // runs the handlers of pending unblocked signals

void raise_sigpipe(Coroutine* self);  // SIGPIPE for the running coroutine, by its own mask

inline bool cancel_wanted(const Coroutine* self) {
  return self->cancel_pending.load(std::memory_order_relaxed) && self->cancel_state == 0 /* PTHREAD_CANCEL_ENABLE */;
}
inline bool signals_wanted(const Coroutine* self) {
  return (self->signals_pending.load(std::memory_order_relaxed) & ~self->signal_mask) != 0;
}
inline void cancellation_point(Coroutine* self) {
  if (cancel_wanted(self)) [[unlikely]]
    cancel_now();
}

// After a wait said `interrupted`: runs cancellation and handlers. True: the call is to end with EINTR; false: restart it
// (every handler that ran had SA_RESTART and the call is one that restarts).
bool interrupted_call_ends(Coroutine* self, bool call_restarts);

// An error of the raw kind (-errno) as a C function returns it.
inline long as_errno(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

// A region for a call that sets errno, which leaving must not change.
template <class Call>
auto blocking_call(RegionKind kind, Call call) {
  region_enter(kind);
  auto result = call();
  int error = errno;
  region_leave();
  errno = error;
  return result;
}

}  // namespace weft
