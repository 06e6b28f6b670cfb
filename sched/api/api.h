// SPDX-License-Identifier: Apache-2.0
// What every file of the API (weft/co.h) starts from.
#pragma once

#include <cerrno>

#include "sched/coroutine.h"
#include "sched/parking_lot.h"
#include "sched/shield.h"
#include "sched/thread_state.h"
#include "sched/worker.h"
#include "weft/co.h"

#define WEFT_API extern "C" [[gnu::visibility("default")]]

namespace weft {

// The caller where it is a coroutine, pinned or not.
inline Coroutine* caller() { return thread_state.identity; }

// Others get their turn, as at every call that may wait.
inline void take_turn() {
  if (Coroutine* self = woven()) check_turn(self);
}

// After a wait that was interrupted: signal handlers and a pthread_cancel act. The error with which the call is to end; 0: it waits on.
int wait_interrupted();

// Parks until somebody unparks the key, or for a reason that ends the call; 0: look again, the wait may be over. What `validate` says no
// to is not waited for.
int wait_for(KeyKind key, WaitKind kind, const void* object, bool (*validate)(void*), void* argument, uint32_t tag = 0);

// Who goes first where many are ready: those made last, or as they were made.
enum class StartOrder { newest_first, as_made };

// co_spawn, for a caller at that address; with a scope the coroutine is its child, and `start` gives an int.
int api_spawn(co_t* out, void* (*start)(void*), void* argument, const co_attr_t* attributes, const void* caller,
              Scope* scope, StartOrder order = StartOrder::newest_first);

// Cancels as co_cancel does. False: there is no such coroutine any more.
bool cancel_coroutine(Coroutine* target, uint32_t generation);

}  // namespace weft
