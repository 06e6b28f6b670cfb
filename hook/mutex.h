// SPDX-License-Identifier: Apache-2.0
// Locking and unlocking as the condition variables need them, and who the caller is to glibc's locks.
#pragma once

#include <cstdint>

#include "hook/hook.h"
#include "sched/runtime.h"
#include "sched/tls_block.h"

namespace weft {

// Waits meet in the parking lot from the first thread on. Before it, and where threads stay native, glibc's own calls
// wait.
inline bool lot_in_use() { return runtime_started(); }

// What glibc's locks write as their owner. Only where the runtime has started.
inline int own_tid() { return *tls_block_tid_of(__builtin_thread_pointer()); }

// A pinned coroutine's call with the kernel's tid in its TCB, for locks that the kernel or another process looks at.
// Afterwards its own again, because the locks it took while it was woven name that one.
template <class Call>
auto with_kernel_tid(Call call) {
  Coroutine* identity = thread_state.identity;
  if (!identity || !identity->pinned) return call();
  tls_block_use_kernel_tid(identity);
  auto result = call();
  *const_cast<int*>(tls_block_tid_of(__builtin_thread_pointer())) = identity->tid;
  return result;
}

// A lock hook is no wait by itself: it gives way only when asked, not by the budget, because the caller may hold other
// locks.
inline void give_way_if_asked(Coroutine* self) {
  if (self->asked.load(std::memory_order_relaxed)) [[unlikely]]
    give_way(self);
}

// Handlers that wait for the running coroutine run now: for waits that no signal ends.
inline void deliver_signals_while_waiting() {
  Coroutine* self = woven();
  if (self && signals_wanted(self)) deliver_signals_now();
}

// As that, for waits which an asynchronous cancellation leaves, although POSIX forbids a program to ask for it there. May not return.
inline void lock_wait_interrupted() {
  deliver_signals_while_waiting();
  Coroutine* self = woven();
  if (self && cancel_wanted_at_once(self)) cancel_now();
}

inline bool valid_nanoseconds(const timespec* time) { return time->tv_nsec >= 0 && time->tv_nsec < 1000000000; }
inline bool lock_clock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC; }

// A limit that is looked at only when the call would block.
struct TimeLimit {
  const timespec* time = nullptr;  // null: none
  clockid_t clock = CLOCK_REALTIME;

  bool valid() const { return !time || valid_nanoseconds(time); }
  uint64_t deadline() const { return time ? deadline_at(clock, time) : kNever; }
};

int mutex_lock(pthread_mutex_t* mutex, const TimeLimit& limit);
int mutex_trylock(pthread_mutex_t* mutex);
int mutex_unlock(pthread_mutex_t* mutex);
// As the program's call: gives way afterwards where a waiter has been overtaken again and again.
int mutex_unlock_fairly(pthread_mutex_t* mutex);
// What unlocking would say to this caller: 0 or EPERM.
int mutex_may_unlock(const pthread_mutex_t* mutex);

}  // namespace weft
