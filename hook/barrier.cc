// SPDX-License-Identifier: Apache-2.0
// Barriers. Who has arrived is kept under the lock of the barrier's bucket: the number in glibc's word `in`, and the
// list of arrivals, which lie on the waiters' stacks, in bytes that glibc does not use. The last to arrive empties the
// barrier and marks every arrival as released before it wakes them. So a released waiter looks at its own stack and
// never at the barrier, which may be destroyed or in use for the next round.
//
// Process-shared ones are glibc's, in a blocking region.
#include "hook/mutex.h"

namespace weft {

namespace {

struct Arrival {
  Arrival* next;
  bool released;  // guarded by the bucket's lock
};

// glibc's struct pthread_barrier, and the list.
struct BarrierMemory {
  uint32_t arrived;  // `in`
  uint32_t round;
  uint32_t count;
  int32_t shared;  // 0: private
  uint32_t out;
  uint32_t unused;
  Arrival* first;  // valid while arrived is not 0
};
static_assert(sizeof(BarrierMemory) <= sizeof(pthread_barrier_t));

struct Arriving {
  BarrierMemory* barrier;
  Arrival arrival;
  bool counted;
};

// Under the bucket's lock. False: no need to wait, this was the last one or it has been released.
bool must_wait(void* argument) {
  auto* self = (Arriving*)argument;
  if (self->counted) return !self->arrival.released;
  self->counted = true;
  BarrierMemory* barrier = self->barrier;
  if (!barrier->arrived) barrier->first = nullptr;
  if (++barrier->arrived < barrier->count) {
    self->arrival = {barrier->first, false};
    barrier->first = &self->arrival;
    return true;
  }
  barrier->arrived = 0;
  for (Arrival* other = barrier->first; other; other = other->next) other->released = true;
  return false;
}

int wait_in_lot(pthread_barrier_t* barrier) {
  Arriving self{(BarrierMemory*)barrier, {nullptr, false}, false};
  uint64_t key = park_key(KeyKind::barrier, barrier);
  bool last = true;
  for (;;) {
    Parked how = park({.key = key,
                       .kind = WaitKind::barrier,
                       .object = barrier,
                       .interruptible = woven() != nullptr,
                       .validate = must_wait,
                       .argument = &self});
    if (how == Parked::invalid) break;
    last = false;
    if (how == Parked::interrupted) deliver_signals_while_waiting();
  }
  if (!last || self.arrival.released) return 0;
  if (has_waiters(key)) unpark(key, ~0u);
  return PTHREAD_BARRIER_SERIAL_THREAD;
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_barrier_wait(pthread_barrier_t* barrier) noexcept {
  auto* memory = (BarrierMemory*)barrier;
  if (runtime_disabled()) return real().pthread_barrier_wait(barrier);
  if (memory->shared) return blocking_call(RegionKind::lasting, [&] { return real().pthread_barrier_wait(barrier); });
  // Alone, before the first thread too: glibc's words stay as its init left them.
  if (memory->count == 1) return PTHREAD_BARRIER_SERIAL_THREAD;
  if (!lot_in_use()) return real().pthread_barrier_wait(barrier);
  if (Coroutine* self = woven()) check_turn(self);
  return wait_in_lot(barrier);
}

WEFT_EXPORT int pthread_barrier_destroy(pthread_barrier_t* barrier) noexcept {
  if (runtime_disabled() || ((BarrierMemory*)barrier)->shared) return real().pthread_barrier_destroy(barrier);
  return 0;
}
