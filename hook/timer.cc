// SPDX-License-Identifier: Apache-2.0
// timer_create and its kin, where a timer signals one thread or counts one thread's CPU time. Timers themselves are the kernel's; those
// that signal the process, or start a thread (SIGEV_THREAD), are none of weft's business.
#include "hook/hook.h"

#include <csignal>
#include <ctime>

#include "sched/carrier.h"
#include "sched/thread_timers.h"

namespace weft {

namespace {

// The record of a timer that signals a coroutine, else null.
ThreadTimer* relayed(timer_t timer) { return thread_state.vfork_child ? nullptr : thread_timer_find(timer); }

bool valid(const timespec& time) { return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000; }

// A timer for a coroutine that is no kernel thread.
int create_relayed(clockid_t clock, const struct sigevent* asked, timer_t* made) {
  if (asked->sigev_signo <= 0 || asked->sigev_signo > SIGRTMAX) return (int)as_errno(-EINVAL);
  ThreadTimer* timer = thread_timer_obtain(asked->_sigev_un._tid, asked->sigev_signo, asked->sigev_value);
  if (!timer) return (int)as_errno(-EAGAIN);
  struct sigevent event = thread_timer_event(timer);
  int result = real().timer_create(clock, &event, made);
  if (result == 0)
    thread_timer_made(timer, *made);
  else
    thread_timer_release(timer);
  return result;
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int timer_create(clockid_t clock, struct sigevent* event, timer_t* timer) noexcept {
  // The kernel counts the time of kernel threads.
  if (clock == CLOCK_THREAD_CPUTIME_ID) pin_current(PinReason::cpu_clock);
  if (!event || event->sigev_notify != SIGEV_THREAD_ID || thread_state.vfork_child)
    return real().timer_create(clock, event, timer);
  Coroutine* target = coroutine_by_tid(event->_sigev_un._tid);
  if (!target) return real().timer_create(clock, event, timer);
  if (!target->pinned) return create_relayed(clock, event, timer);
  struct sigevent to_kernel_thread = *event;
  to_kernel_thread._sigev_un._tid = target->carrier->tid;
  return real().timer_create(clock, &to_kernel_thread, timer);
}

WEFT_EXPORT int timer_delete(timer_t timer) noexcept {
  ThreadTimer* known = relayed(timer);
  int result = real().timer_delete(timer);
  if (result == 0 && known) {
    thread_timer_forget(known);
    thread_timer_release(known);
  }
  return result;
}

WEFT_EXPORT int timer_settime(timer_t timer, int flags, const itimerspec* value, itimerspec* old) noexcept {
  ThreadTimer* known = relayed(timer);
  // Before the call: after it, what is queued may be of the new time.
  if (known && value && valid(value->it_value) && valid(value->it_interval)) thread_timer_forget(known);
  return real().timer_settime(timer, flags, value, old);
}

WEFT_EXPORT int timer_getoverrun(timer_t timer) noexcept {
  ThreadTimer* known = relayed(timer);
  return known ? thread_timer_overrun(known) : real().timer_getoverrun(timer);
}
