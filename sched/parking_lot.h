// SPDX-License-Identifier: Apache-2.0
// The parking lot: queues keyed by (kind, address), in which coroutines and guests wait side by side.
//
// park() enqueues and validates under the bucket's lock, so a waker that changed the object before it looked into the
// bucket is seen by the validation, and one that changed it afterwards finds the waiter. Every park is a hint: callers
// loop. The object's memory is never touched by unpark, only its address is used: it may be gone by then.
#pragma once

#include <cstdint>

#include "sched/coroutine.h"
#include "sched/wait.h"

namespace weft {

enum class KeyKind : uint8_t {
  lock = 1,
  condition,
  rwlock,
  semaphore,
  barrier,
  futex,
  join,
  once,
  stream,
  region,
  suspend,
  group,
  scope
};

inline uint64_t park_key(KeyKind kind, const volatile void* address) {
  return (uint64_t)kind << 56 | ((uint64_t)(uintptr_t)address & 0x00ffffffffffffffu);
}

struct ParkRequest {
  uint64_t key;
  WaitKind kind;
  const volatile void* object;
  uint64_t deadline = kNever;
  bool interruptible = false;  // a signal handler or a cancellation ends it (Wake::interrupted)
  uint32_t tag = 0;
  bool (*validate)(void*) = nullptr;      // under the bucket's lock: still worth waiting? null: yes
  void (*before_sleep)(void*) = nullptr;  // after enqueueing, no lock held: gives up what the waker needs
  bool (*resume)(void*) = nullptr;  // when interrupted, outside the runtime: true: go on waiting in the same place
  void* argument = nullptr;
};

enum class Parked : uint8_t { unparked, timed_out, interrupted, invalid /* validate said no */ };

// Waits. Any coroutine or guest; not from a signal handler.
Parked park(const ParkRequest& request);

// For waits in queues of the caller's own. Who the caller waits as; `self` is woven().
Waiter* waiter_of_caller(Coroutine* self);
// Waits until that wait is ended; of the request `kind`, `object` and `deadline` count. Inside.
Wake block(Coroutine* self, Waiter* waiter, uint64_t ticket, const ParkRequest& request);

// Wakes up to `count` waiters of the key whose tag shares a bit with `tags` (0: any). Returns how many. Any thread and,
// when it is not inside the lot already, a signal handler; there it is deferred to the end of the interrupted
// operation.
unsigned unpark(uint64_t key, unsigned count, uint32_t tags = 0);

// Moves up to `count` waiters of one key to another without waking them. Returns how many.
unsigned requeue(uint64_t from, uint64_t to, unsigned count);

// Is anybody waiting there? The caller's change of the object is an atomic read-modify-write, or has a full barrier behind it.
bool has_waiters(uint64_t key);

// Does anybody wait there whose tag shares a bit with `tags`? From validate or with_bucket of the same key alone.
bool waits_locked(uint64_t key, uint32_t tags);

// Runs `change` under the lock of the key's bucket, so that it excludes validation. For objects whose state weft keeps
// itself.
void with_bucket(uint64_t key, void (*change)(void*), void* argument);

void parking_lot_reset();  // fork child
extern uint32_t
    parking_lot_generation;  // counts the forks behind this process: waiters of an earlier one are not there any more

}  // namespace weft
