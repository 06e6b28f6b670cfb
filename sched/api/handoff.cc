// SPDX-License-Identifier: Apache-2.0
// Handing values over, and the wait for it.
#include "sched/api/handoff.h"

namespace weft {

HandoffWait* Held::take(WaitQueue& queue) {
  while (auto* wait = (HandoffWait*)queue.head) {
    queue.remove(&wait->node);
    if (!wait->selects || wake(&wait->node, Wake::unparked)) return wait;
  }
  return nullptr;
}

void Held::finish(HandoffWait* wait, Outcome outcome) {
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

namespace {

int as_error(Outcome outcome) { return outcome == Outcome::closed ? EPIPE : 0; }

}  // namespace

int Held::await(WaitQueue& queue, HandoffWait* wait, WaitKind kind, const void* object) {
  Waiter* waiter = waiter_of_caller(self_);
  wait->node.waiter = waiter;
  wait->node.ticket = waiter->begin(true);
  queue.push(&wait->node);
  lock_.unlock();
  Wake reason = block(self_, waiter, wait->node.ticket, {.key = 0, .kind = kind, .object = object});
  if (reason == Wake::unparked && self_) {
    locked_ = false;
    return as_error(wait->outcome);
  }
  lock_.lock();
  if (!wait->node.linked) return as_error(wait->outcome);
  queue.remove(&wait->node);
  int error = 0;
  if (reason == Wake::interrupted) without([&] { error = wait_interrupted(); });
  return error ? error : EAGAIN;
}

}  // namespace weft
