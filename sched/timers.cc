// SPDX-License-Identifier: Apache-2.0
// The timer heap of a worker: a binary heap of pointers in memory of its own, grown by mremap.
//
// Whoever is due is taken out under the lock and woken after it: waking makes a coroutine ready, which takes other
// locks. Between the two its owner may be woken by somebody else and start another wait; the ticket taken along then
// matches nothing.
#include "sched/timers.h"

#include <sys/mman.h>

#include "sched/sys.h"

namespace weft {

namespace {
constexpr uint32_t kFirstCapacity = 512;  // one page of pointers
constexpr unsigned kFireAtOnce = 32;      // wakes collected under one hold of the lock
}  // namespace

bool TimerHeap::grow_locked() {
  uint32_t capacity = capacity_ ? capacity_ * 2 : kFirstCapacity;
  void* memory =
      capacity_ ? (void*)sys::call(SYS_mremap, sys::word(slots_), (long)(capacity_ * sizeof(Timer*)),
                                   (long)(capacity * sizeof(Timer*)), MREMAP_MAYMOVE)
                : sys::mmap(nullptr, capacity * sizeof(Timer*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(memory)) return false;
  slots_ = (Timer**)memory;
  capacity_ = capacity;
  return true;
}

void TimerHeap::place_locked(Timer* timer, uint32_t index) {
  slots_[index] = timer;
  timer->index = index;
}

void TimerHeap::sift_up_locked(uint32_t index) {
  Timer* timer = slots_[index];
  while (index > 0) {
    uint32_t parent = (index - 1) / 2;
    if (slots_[parent]->deadline <= timer->deadline) break;
    place_locked(slots_[parent], index);
    index = parent;
  }
  place_locked(timer, index);
}

void TimerHeap::sift_down_locked(uint32_t index) {
  Timer* timer = slots_[index];
  for (;;) {
    uint32_t child = 2 * index + 1;
    if (child >= size_) break;
    if (child + 1 < size_ && slots_[child + 1]->deadline < slots_[child]->deadline) child++;
    if (timer->deadline <= slots_[child]->deadline) break;
    place_locked(slots_[child], index);
    index = child;
  }
  place_locked(timer, index);
}

void TimerHeap::remove_locked(Timer* timer) {
  uint32_t index = timer->index;
  Timer* last = slots_[--size_];
  timer->heap = nullptr;
  if (last != timer) {
    place_locked(last, index);
    sift_up_locked(index);
    sift_down_locked(last->index);
  }
  earliest_.store(size_ ? slots_[0]->deadline : kNever, std::memory_order_relaxed);
}

bool TimerHeap::add(Timer* timer, uint64_t deadline, Waiter* waiter, uint64_t ticket) {
  Locked hold(lock_);
  if (size_ == capacity_ && !grow_locked()) return false;
  timer->deadline = deadline;
  timer->waiter = waiter;
  timer->ticket = ticket;
  timer->heap = this;
  slots_[size_] = timer;
  sift_up_locked(size_++);
  earliest_.store(slots_[0]->deadline, std::memory_order_relaxed);
  return true;
}

void TimerHeap::remove(Timer* timer) {
  Locked hold(lock_);
  if (timer->heap == this) remove_locked(timer);
}

void TimerHeap::reset() {
  if (!lock_.try_lock()) slots_ = nullptr, capacity_ = 0;  // another thread was about to change them
  lock_.reset();
  size_ = 0;
  earliest_.store(kNever, std::memory_order_relaxed);
}

unsigned TimerHeap::fire(uint64_t now) {
  struct Due {
    Waiter* waiter;
    uint64_t ticket;
  };
  unsigned fired = 0;
  while (earliest() <= now) {
    Due due[kFireAtOnce];
    unsigned count = 0;
    {
      Locked hold(lock_);
      while (count < kFireAtOnce && size_ && slots_[0]->deadline <= now) {
        Timer* timer = slots_[0];
        due[count++] = {timer->waiter, timer->ticket};
        remove_locked(timer);
      }
    }
    if (!count) break;  // taken out by its owner since the look at earliest_
    for (unsigned i = 0; i < count; i++) fired += wake(due[i].waiter, due[i].ticket, Wake::timed_out);
  }
  return fired;
}

}  // namespace weft
