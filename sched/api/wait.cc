// SPDX-License-Identifier: Apache-2.0
// Waits of the API's functions, and how signals, cancellation and deadlines end them.
#include "sched/api/api.h"
#include "sched/runtime.h"
#include "sched/signals.h"

namespace weft {

int wait_interrupted() {
  Coroutine* self = woven();
  if (self) {
    if (cancel_wanted(self)) real_calls.cancel_now();
    deliver_signals_now();
  }
  return caller() ? waits_end_with(caller()) : 0;
}

int wait_for(KeyKind key, WaitKind kind, const void* object, bool (*validate)(void*), void* argument, uint32_t tag) {
  Parked how = park({.key = park_key(key, object),
                     .kind = kind,
                     .object = object,
                     .interruptible = true,
                     .tag = tag,
                     .validate = validate,
                     .argument = argument});
  return how == Parked::interrupted ? wait_interrupted() : 0;
}

}  // namespace weft
