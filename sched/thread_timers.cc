// SPDX-License-Identifier: Apache-2.0
// The records of timers that signal one coroutine. They stay mapped: the kernel may still hold a signal of a timer that is gone.
#include "sched/thread_timers.h"

#include <atomic>
#include <cerrno>
#include <sys/mman.h>

#include "sched/coroutine.h"
#include "sched/internal_signals.h"
#include "sched/lock.h"
#include "sched/signals.h"
#include "sched/sys.h"

namespace weft {

struct ThreadTimer {
  ThreadTimer* next;  // of all
  std::atomic<bool> used;
  std::atomic<timer_t> timer;  // null: not made yet
  int tid;
  int signal;
  sigval value;
  std::atomic<int> overrun;  // of the signal delivered last
};

namespace {

constexpr uint64_t kChunk = 16 << 10;

Lock timers_lock;  // guards making and releasing records; the list only grows
constinit std::atomic<ThreadTimer*> timers{nullptr};

template <class Wanted>
ThreadTimer* find_record(Wanted wanted) {
  for (ThreadTimer* at = timers.load(std::memory_order_acquire); at; at = at->next)
    if (wanted(at)) return at;
  return nullptr;
}

bool is_used(const ThreadTimer* timer) { return timer->used.load(std::memory_order_acquire); }

bool add_chunk_locked() {
  void* memory = sys::mmap(nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(memory)) return false;
  for (auto* at = (ThreadTimer*)memory; (char*)(at + 1) <= (char*)memory + kChunk; at++) {
    at->next = timers.load(std::memory_order_relaxed);
    timers.store(at, std::memory_order_release);
  }
  return true;
}

}  // namespace

ThreadTimer* thread_timer_obtain(int tid, int signal, sigval value) {
  if (!relay_begin()) return nullptr;
  HandlersWait wait;
  Locked hold(timers_lock);
  auto is_free = [](const ThreadTimer* timer) { return !is_used(timer); };
  ThreadTimer* timer = find_record(is_free);
  if (!timer && add_chunk_locked()) timer = find_record(is_free);
  if (!timer) return nullptr;
  timer->timer.store(nullptr, std::memory_order_relaxed);
  timer->tid = tid;
  timer->signal = signal;
  timer->value = value;
  timer->overrun.store(0, std::memory_order_relaxed);
  timer->used.store(true, std::memory_order_release);
  return timer;
}

struct sigevent thread_timer_event(ThreadTimer* timer) {
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kTimerSignal;
  event.sigev_value.sival_ptr = timer;
  event._sigev_un._tid = relay_tid();
  return event;
}

void thread_timer_made(ThreadTimer* timer, timer_t made) { timer->timer.store(made, std::memory_order_release); }

void thread_timer_release(ThreadTimer* timer) { timer->used.store(false, std::memory_order_release); }

ThreadTimer* thread_timer_find(timer_t timer) {
  return find_record([timer](const ThreadTimer* at) { return is_used(at) && at->timer.load() == timer; });
}

void thread_timer_forget(const ThreadTimer* timer) {
  Coroutine* target = coroutine_by_tid(timer->tid);
  if (target) signal_drop_timer(target, (int)(intptr_t)timer->timer.load());
}

int thread_timer_overrun(const ThreadTimer* timer) { return timer->overrun.load(std::memory_order_relaxed); }

void thread_timer_delivered(const siginfo_t& info) {
  // For glibc a timer's name is the kernel's number.
  if (ThreadTimer* timer = thread_timer_find((timer_t)(intptr_t)info.si_timerid))
    timer->overrun.store(info.si_overrun, std::memory_order_relaxed);
}

void thread_timers_relay() {
  uint64_t set = signal_bit(kTimerSignal);
  timespec at_once = {};
  siginfo_t info;
  while (sys::call(SYS_rt_sigtimedwait, sys::word(&set), sys::word(&info), sys::word(&at_once), 8) > 0) {
    if (info.si_code != SI_TIMER) continue;
    auto* timer = (ThreadTimer*)info.si_value.sival_ptr;
    timer_t named = (timer_t)(intptr_t)info.si_timerid;
    timer_t known = timer->timer.load(std::memory_order_acquire);
    if (!is_used(timer) || (known && known != named)) continue;
    info.si_signo = timer->signal;
    info.si_value = timer->value;
    // As the kernel does it, a signal to a thread that has ended is dropped.
    if (Coroutine* target = coroutine_by_tid(timer->tid)) signal_post(target, info.si_signo, info);
  }
}

void thread_timers_reset() {
  timers_lock.reset();
  for (ThreadTimer* at = timers.load(std::memory_order_relaxed); at; at = at->next) thread_timer_release(at);
}

}  // namespace weft
