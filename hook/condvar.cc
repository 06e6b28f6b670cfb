// SPDX-License-Identifier: Apache-2.0
// Condition variables: queues of the parking lot keyed by their address. Of glibc's memory only the bits that name the
// clock and process sharing are read, so a condition variable may be destroyed as soon as its waiters have been woken.
//
// A waiter is in the queue before it gives up the mutex, so no signal sent under the mutex is lost. A signal handler
// runs while the waiter keeps its place, as it does natively, and does not end the wait. A cancelled waiter owns the
// mutex again when its cleanup handlers run; a signal that picks it after the cancel goes to the next one.
//
// Process-shared ones are glibc's, in a blocking region.
#include "hook/cancel.h"
#include "hook/mutex.h"
#include "hook/thread_results.h"
#include "sched/shield.h"

namespace weft {

namespace {

// Bits of __wrefs, as glibc's pthread_cond_common.c has them.
constexpr unsigned kSharedBit = 1;
constexpr unsigned kMonotonicBit = 2;

bool is_shared(const pthread_cond_t* condition) {
  return __atomic_load_n(&condition->__data.__wrefs, __ATOMIC_RELAXED) & kSharedBit;
}

clockid_t clock_of(const pthread_cond_t* condition) {
  return __atomic_load_n(&condition->__data.__wrefs, __ATOMIC_RELAXED) & kMonotonicBit ? CLOCK_MONOTONIC
                                                                                       : CLOCK_REALTIME;
}

struct Waiting {
  pthread_mutex_t* mutex;
  bool unlocked;  // the wait has begun: the mutex has been given up
};

// A condition variable says once that the caller's waits have ended. Who waits there again has not listened, as std::condition_variable
// does not, and holds the mutex that others need: it waits until it is signalled.
int says_that_waits_end(const pthread_cond_t* condition) {
  Coroutine* self = coroutine_in_lot();
  int error = self ? waits_end_with(self) : 0;
  if (!error || (self->told_by == condition && self->told == error)) return 0;
  self->told_by = condition;
  self->told = error;
  return error;
}

int wait_in_lot(pthread_cond_t* condition, pthread_mutex_t* mutex, uint64_t deadline);

// The same for one whose waits have ended and who has been told so.
int wait_unheard(Coroutine* self, pthread_cond_t* condition, pthread_mutex_t* mutex, uint64_t deadline) {
  Shield shield(self);
  return wait_in_lot(condition, mutex, deadline);
}

int wait_in_lot(pthread_cond_t* condition, pthread_mutex_t* mutex, uint64_t deadline) {
  if (int error = mutex_may_unlock(mutex)) return error;
  if (caller_waits_end_with()) {
    if (int error = says_that_waits_end(condition)) return error;
    return wait_unheard(coroutine_in_lot(), condition, mutex, deadline);
  }
  Waiting waiting{mutex, false};
  Parked how;
  for (;;) {
    how = park({.key = park_key(KeyKind::condition, condition),
                .kind = WaitKind::condition,
                .object = condition,
                .deadline = deadline,
                .interruptible = true,
                .validate = not_cancelled,
                .before_sleep =
                    [](void* argument) {
                      auto* w = (Waiting*)argument;
                      w->unlocked = true;
                      w->mutex->__data.__nusers++;  // as glibc: a mutex that waiters come back to is not destroyed
                      mutex_unlock(w->mutex);
                    },
                .resume = run_handlers_unless_cancelled,
                .argument = &waiting});
    if (waiting.unlocked) break;
    caller_cancellation_point();  // the cancel came before the wait began: the mutex is still ours
    if (caller_waits_end_with()) return wait_in_lot(condition, mutex, deadline);
  }
  int error = mutex_lock(mutex, {});
  if (!error || error == EOWNERDEAD) mutex->__data.__nusers--;
  if (how == Parked::interrupted) {
    caller_cancellation_point();
    if (!error) error = says_that_waits_end(condition);
  }
  return error ? error : how == Parked::timed_out ? ETIMEDOUT : 0;
}

int wait_natively(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  return blocking_call(RegionKind::lasting, [&] { return real().pthread_cond_wait(condition, mutex); });
}

bool waits_natively(const pthread_cond_t* condition) { return !lot_in_use() || is_shared(condition); }

int wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  caller_cancellation_point();
  if (Coroutine* self = woven()) check_turn(self);
  return wait_in_lot(condition, mutex, kNever);
}

int timed_wait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  if (!valid_nanoseconds(time) || !lock_clock(clock)) return EINVAL;
  caller_cancellation_point();
  if (Coroutine* self = woven()) check_turn(self);
  return wait_in_lot(condition, mutex, deadline_at(clock, time));
}

int signal_waiters(pthread_cond_t* condition, unsigned count) {
  uint64_t key = park_key(KeyKind::condition, condition);
  if (has_waiters(key)) unpark(key, count);
  chaos_at_hook();
  return 0;
}

int signal_one(pthread_cond_t* condition) {
  return waits_natively(condition) ? real().pthread_cond_signal(condition) : signal_waiters(condition, 1);
}

int signal_all(pthread_cond_t* condition) {
  return waits_natively(condition) ? real().pthread_cond_broadcast(condition) : signal_waiters(condition, ~0u);
}

int clock_wait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  if (waits_natively(condition))
    return blocking_call(RegionKind::lasting,
                         [&] { return real().pthread_cond_clockwait(condition, mutex, clock, time); });
  return timed_wait(condition, mutex, clock, time);
}

int until(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
  if (waits_natively(condition))
    return blocking_call(RegionKind::lasting, [&] { return real().pthread_cond_timedwait(condition, mutex, time); });
  return timed_wait(condition, mutex, clock_of(condition), time);
}

int without_limit(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  return waits_natively(condition) ? wait_natively(condition, mutex) : wait(condition, mutex);
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  return without_limit(condition, mutex);
}

WEFT_EXPORT int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
  return until(condition, mutex, time);
}

WEFT_EXPORT int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                       const timespec* time) {
  return clock_wait(condition, mutex, clock, time);
}

WEFT_EXPORT int pthread_cond_signal(pthread_cond_t* condition) noexcept { return signal_one(condition); }

WEFT_EXPORT int pthread_cond_broadcast(pthread_cond_t* condition) noexcept { return signal_all(condition); }

// glibc would wait for those that its own memory counts; of ours there is nothing to wait for.
WEFT_EXPORT int pthread_cond_destroy(pthread_cond_t* condition) noexcept {
  return waits_natively(condition) ? real().pthread_cond_destroy(condition) : 0;
}

// C11: cnd_t is a pthread_cond_t with the clock CLOCK_REALTIME.

WEFT_EXPORT int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return c11_result(without_limit((pthread_cond_t*)condition, (pthread_mutex_t*)mutex));
}

WEFT_EXPORT int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* time) {
  return c11_result(until((pthread_cond_t*)condition, (pthread_mutex_t*)mutex, time));
}

WEFT_EXPORT int cnd_signal(cnd_t* condition) { return c11_result(signal_one((pthread_cond_t*)condition)); }

WEFT_EXPORT int cnd_broadcast(cnd_t* condition) { return c11_result(signal_all((pthread_cond_t*)condition)); }

WEFT_EXPORT void cnd_destroy(cnd_t* condition) { pthread_cond_destroy((pthread_cond_t*)condition); }
