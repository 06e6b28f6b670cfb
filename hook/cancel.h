// SPDX-License-Identifier: Apache-2.0
// Cancellation of those that glibc cancels: guests and pinned coroutines. While they wait in the parking lot glibc
// cannot reach them, so the hooks look, and pthread_cancel ends the wait.
#pragma once

#include "hook/hook.h"

namespace weft {

// A cancel of this guest or pinned coroutine waits to be acted on, and it is enabled.
bool guest_cancel_wanted();
// Its cancellation point at the beginning of a call, and the state that guest_cancel_wanted() goes by. May not return.
void guest_cancellation_point();

// The coroutine whose waits in the parking lot the caller's are: not that of a signal window, whose waits are the kernel thread's.
inline Coroutine* coroutine_in_lot() {
  if (Coroutine* self = woven()) return self;
  Coroutine* identity = thread_state.identity;
  return identity && identity->pinned ? identity : nullptr;
}
// The error with which co_cancel or a deadline ends the caller's waits, or 0.
inline int caller_waits_end_with() {
  const Coroutine* self = coroutine_in_lot();
  return self ? waits_end_with(self) : 0;
}
// Is the caller, whoever it is, to be cancelled at the next cancellation point, or do its waits end by co_cancel or a deadline?
inline bool caller_cancel_wanted() {
  const Coroutine* self = woven();
  return (self ? cancel_wanted(self) : guest_cancel_wanted()) || caller_waits_end_with();
}

// A cancellation point of any caller. May not return.
inline void caller_cancellation_point() {
  if (Coroutine* self = woven())
    cancellation_point(self);
  else
    guest_cancellation_point();
}

// For ParkRequest::validate and ::resume of a wait that is a cancellation point and that handlers do not end.
inline bool not_cancelled(void*) { return !caller_cancel_wanted(); }
bool run_handlers_unless_cancelled(void*);

}  // namespace weft
