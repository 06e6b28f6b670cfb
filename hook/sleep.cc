// SPDX-License-Identifier: Apache-2.0
// Sleeps, pause, and giving way.
//
// A coroutine sleeps as a timer of its worker. A sleep until a time of CLOCK_REALTIME is turned into one of
// CLOCK_MONOTONIC when it begins, so a clock that is set meanwhile does not move it. Clocks that do not tell wall time
// (CPU time of a process, a device) are slept on in the kernel.
#include "hook/hook.h"

namespace weft {

namespace {

constexpr long kSecond = 1000000000;

// No address of the program's: the kernel answers EFAULT.
bool nowhere(const timespec* time) { return (uintptr_t)time < 4096; }

bool valid(const timespec* time) { return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < kSecond; }

bool tells_wall_time(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

uint64_t span_of(const timespec* time) {
  uint64_t span;
  if (__builtin_mul_overflow((uint64_t)time->tv_sec, (uint64_t)kSecond, &span) ||
      __builtin_add_overflow(span, (uint64_t)time->tv_nsec, &span))
    return kNever;
  return span;
}

// 0, EINTR when a handler ran, or what ends the coroutine's waits.
int sleep_until(Coroutine* self, uint64_t deadline) {
  cancellation_point(self);
  for (;;) {
    enter(self);
    uint64_t ticket = self->waiter.begin(true);
    will_wait_on(self, WaitKind::sleep, nullptr);
    std::atomic_thread_fence(
        std::memory_order_seq_cst);  // the wait is seen by who sends a signal that is not seen below
    Wake reason = block_coroutine(self, ticket, deadline);
    leave(self);
    if (reason == Wake::timed_out) return 0;
    if (reason != Wake::interrupted) continue;
    int error = interrupted_call_ends(self, false);
    if (!error) continue;
    check_turn(self);  // one that sleeps in a loop until something has happened lets it happen
    return error != EINTR && now_ns() >= deadline ? 0 : error;
  }
}

// A sleep of a coroutine; what remains of it after an interruption goes to `left`.
int sleep_for(Coroutine* self, const timespec* time, timespec* left) {
  int error = errno;
  uint64_t deadline = deadline_in(span_of(time));
  int result = sleep_until(self, deadline);
  errno = error;
  if (result && left) {
    uint64_t now = now_ns();
    *left = to_timespec(deadline > now ? deadline - now : 0);
  }
  return result;
}

int sleep_on_clock(Coroutine* self, clockid_t clock, int flags, const timespec* time, timespec* left) {
  if (clock == CLOCK_THREAD_CPUTIME_ID || !valid(time)) return EINVAL;
  if (!tells_wall_time(clock)) {
    cancellation_point(self);
    return blocking_call(RegionKind::lasting, [&] { return real().clock_nanosleep(clock, flags, time, left); });
  }
  if (!(flags & TIMER_ABSTIME)) return sleep_for(self, time, left);
  int error = errno;
  int result = sleep_until(self, deadline_at(clock, time));
  errno = error;
  return result;
}

// Apart, so that the other way needs no frame.
[[gnu::noinline]] int yield_otherwise(Coroutine* self) {
  if (!self) return real().sched_yield();
  deliver_signals_now();
  return yield(self);
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  Coroutine* self = woven();
  if (!self || nowhere(time)) return real().clock_nanosleep(clock, flags, time, left);
  return sleep_on_clock(self, clock, flags, time, left);
}

WEFT_EXPORT int nanosleep(const timespec* time, timespec* left) {
  Coroutine* self = woven();
  if (!self || nowhere(time)) return real().nanosleep(time, left);
  int result = valid(time) ? sleep_for(self, time, left) : EINVAL;
  if (!result) return 0;
  errno = result;
  return -1;
}

WEFT_EXPORT int usleep(useconds_t microseconds) {
  Coroutine* self = woven();
  if (!self) return real().usleep(microseconds);
  timespec time = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
  int result = sleep_for(self, &time, nullptr);
  if (!result) return 0;
  errno = result;
  return -1;
}

WEFT_EXPORT unsigned sleep(unsigned seconds) {
  Coroutine* self = woven();
  if (!self) return real().sleep(seconds);
  timespec time = {(time_t)seconds, 0}, left = {};
  int result = sleep_for(self, &time, &left);
  if (!result) return 0;
  errno = result;
  return (unsigned)left.tv_sec + (left.tv_nsec >= kSecond / 2);
}

WEFT_EXPORT int thrd_sleep(const timespec* time, timespec* left) {
  Coroutine* self = woven();
  if (!self || nowhere(time)) return real().thrd_sleep(time, left);
  if (!valid(time)) return -2;
  return sleep_for(self, time, left) ? -1 : 0;
}

WEFT_EXPORT int pause(void) {
  Coroutine* self = woven();
  if (!self) {
    handler_waits();
    return real().pause();
  }
  cancellation_point(self);
  int error;
  do {
    enter(self);
    uint64_t ticket = self->waiter.begin(true);
    will_wait_on(self, WaitKind::signal, nullptr);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    block_coroutine(self, ticket, kNever);
    leave(self);
  } while (!(error = interrupted_call_ends(self, false)));
  check_turn(self);
  errno = error;
  return -1;
}

WEFT_EXPORT int sched_yield(void) noexcept {
  Coroutine* self = woven();
  if (self && !self->signals_pending.load(std::memory_order_relaxed)) [[likely]]
    return yield(self);
  return yield_otherwise(self);
}

WEFT_EXPORT void thrd_yield(void) { sched_yield(); }
