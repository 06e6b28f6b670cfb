// SPDX-License-Identifier: Apache-2.0
// Semaphores: glibc's own post and trywait, and the parking lot for those who find nothing. Process-shared and named
// ones wait by glibc's own call in a blocking region.
//
// sem_post runs in signal handlers, and the semaphore may be gone as soon as it has been posted. A waiter that was
// picked and finds that another was faster waits again: the count is the truth, a wake only says "look".
#include <semaphore.h>

#include "hook/cancel.h"
#include "hook/mutex.h"

namespace weft {

namespace {

// glibc's struct new_sem on 64-bit machines.
struct SemaphoreMemory {
  uint32_t value;
  uint32_t native_waiters;
  int32_t shared;  // 0: private
};
static_assert(sizeof(SemaphoreMemory) <= sizeof(sem_t));

bool is_shared(const sem_t* semaphore) { return ((const SemaphoreMemory*)semaphore)->shared != 0; }

bool nothing_there(void* semaphore) {
  return __atomic_load_n(&((const SemaphoreMemory*)semaphore)->value, __ATOMIC_RELAXED) == 0 && !caller_cancel_wanted();
}

int fail(int error) {
  errno = error;
  return -1;
}

// Is a call that finds the semaphore posted a cancellation point too? glibc's sem_clockwait is none.
enum class Acts : bool { when_it_waits, always };

int wait_in_lot(sem_t* semaphore, const TimeLimit& limit, Acts acts) {
  if (acts == Acts::always) caller_cancellation_point();
  if (Coroutine* self = woven()) check_turn(self);
  int before = errno;
  if (sem_trywait(semaphore) == 0) return 0;
  if (acts == Acts::when_it_waits) caller_cancellation_point();
  uint64_t deadline = limit.deadline();
  for (;;) {
    Parked how = park({.key = park_key(KeyKind::semaphore, semaphore),
                       .kind = WaitKind::semaphore,
                       .object = semaphore,
                       .deadline = deadline,
                       .interruptible = true,
                       .validate = nothing_there,
                       .argument = semaphore});
    if (sem_trywait(semaphore) == 0) {
      errno = before;
      return 0;
    }
    caller_cancellation_point();
    if (int error = caller_waits_end_with()) return fail(error);
    if (how == Parked::timed_out) return fail(ETIMEDOUT);
    if (how == Parked::interrupted) {
      // The kernel restarts a wait without a limit after a handler with SA_RESTART, one with a limit never.
      Coroutine* self = woven();
      if (!self) return fail(EINTR);
      if (int error = interrupted_call_ends(self, !limit.time)) return fail(error);
    }
  }
}

template <class Call>
int wait_natively(sem_t* semaphore, Acts acts, Call call) {
  Coroutine* self = woven();
  if (!self) return call();
  if (acts == Acts::always) cancellation_point(self);
  check_turn(self);
  int before = errno;
  if (sem_trywait(semaphore) == 0) return 0;
  errno = before;
  return blocking_call(RegionKind::lasting, call);
}

bool waits_natively(const sem_t* semaphore) { return !lot_in_use() || is_shared(semaphore); }

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int sem_wait(sem_t* semaphore) {
  if (waits_natively(semaphore))
    return wait_natively(semaphore, Acts::always, [&] { return real().sem_wait(semaphore); });
  return wait_in_lot(semaphore, {}, Acts::always);
}

WEFT_EXPORT int sem_timedwait(sem_t* semaphore, const timespec* time) {
  if (!valid_nanoseconds(time)) return fail(EINVAL);
  if (waits_natively(semaphore))
    return wait_natively(semaphore, Acts::always, [&] { return real().sem_timedwait(semaphore, time); });
  return wait_in_lot(semaphore, {time, CLOCK_REALTIME}, Acts::always);
}

WEFT_EXPORT int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* time) {
  if (!lock_clock(clock) || !valid_nanoseconds(time)) return fail(EINVAL);
  if (waits_natively(semaphore))
    return wait_natively(semaphore, Acts::when_it_waits, [&] { return real().sem_clockwait(semaphore, clock, time); });
  return wait_in_lot(semaphore, {time, clock}, Acts::when_it_waits);
}

WEFT_EXPORT int sem_post(sem_t* semaphore) noexcept {
  if (!lot_in_use()) return real().sem_post(semaphore);
  uint64_t key = park_key(KeyKind::semaphore, semaphore);
  int result = real().sem_post(semaphore);
  if (result == 0 && has_waiters(key)) unpark(key, 1);
  chaos_at_hook();
  return result;
}
