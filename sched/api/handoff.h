// SPDX-License-Identifier: Apache-2.0
// How a value goes from one who waits with it to one who comes for it, or the other way round: under the lock of what both are at, into
// or out of memory of the one who waits. Woken, that one has nothing left to do.
//
// One who waits at a single place is given its outcome first and woken then, outside the lock. One that selects waits at several, and
// who ends its wait first has it: so its wait is ended before its value is touched, under the lock, which it takes again when it runs.
#pragma once

#include "sched/api/api.h"

namespace weft {

enum class Outcome : uint8_t { none, done, closed };

struct HandoffWait {
  WaitNode node;  // first member: a node of these queues is a HandoffWait
  void* value;
  Outcome outcome =
      Outcome::none;  // written under the lock; its owner reads it once it has been woken, or under the lock
  bool selects = false;
};

// Inside the runtime and under a lock.
class [[nodiscard]] Held {
 public:
  explicit Held(Lock& lock) : lock_(lock), self_(woven()) {
    if (self_) enter(self_);
    lock_.lock();
  }
  ~Held() {
    if (locked_) lock_.unlock();
    if (woken_.waiter) {
      if (self_)
        wake_inside(self_, woken_.waiter, woken_.ticket);
      else
        wake(woken_.waiter, woken_.ticket, Wake::unparked);
    }
    if (self_) leave(self_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // The first who waits and can still be had, out of the queue; null: nobody.
  HandoffWait* take(WaitQueue& queue) {
    while (auto* wait = (HandoffWait*)queue.pop())
      if (!wait->selects || wake(&wait->node, Wake::unparked)) return wait;
    return nullptr;
  }
  // Its value has gone over, or what it waits at has been closed: it goes on.
  void finish(HandoffWait* wait, Outcome outcome) {
    Waiter* waiter = wait->node.waiter;
    uint64_t ticket = wait->node.ticket;
    bool selects = wait->selects;
    wait->outcome = outcome;
    if (selects) return;
    // A thread that sees its outcome by itself may be gone with its waiter once the lock is free.
    if (!waiter->coroutine || woken_.waiter)
      wake(waiter, ticket, Wake::unparked);
    else
      woken_ = {waiter, ticket};
  }

  // All in the queue go on: what they wait at has been closed.
  void finish_all(WaitQueue& queue) {
    while (HandoffWait* wait = take(queue)) finish(wait, Outcome::closed);
  }

  // Waits in the queue: 0: the value has gone over; EPIPE: closed; EAGAIN: nothing has happened, look again; or the error that ends the
  // call. After 0 and EPIPE the lock may have been given up.
  int await(WaitQueue& queue, HandoffWait* wait, WaitKind kind, const void* object);
  // Gives the lock up for a while.
  template <class Call>
  void without(Call call) {
    lock_.unlock();
    if (self_) leave(self_);
    call();
    self_ = woven();  // a signal handler may have pinned it
    if (self_) enter(self_);
    lock_.lock();
  }

 private:
  Lock& lock_;
  Coroutine* self_;
  bool locked_ = true;
  struct {
    Waiter* waiter = nullptr;
    uint64_t ticket = 0;
  } woken_;  // to be woken when the lock has been given up
};

}  // namespace weft
