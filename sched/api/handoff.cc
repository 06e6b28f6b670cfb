// SPDX-License-Identifier: Apache-2.0
// Handing values over, and the wait for it.
#include "sched/api/handoff.h"

namespace weft {

namespace {

int as_error(Outcome outcome) { return outcome == Outcome::closed ? EPIPE : 0; }

}  // namespace

int Held::await(WaitQueue& queue, HandoffWait* wait, WaitKind kind, const void* object) {
  Waiter* waiter = self_ ? &self_->waiter : waiter_of_caller(nullptr);
  wait->node.waiter = waiter;
  wait->node.ticket = waiter->begin(true);
  queue.push(&wait->node);
  lock_.unlock();
  Wake reason;
  if (self_) {
    will_wait_on(self_, kind, object);
    reason = block_coroutine(self_, wait->node.ticket, kNever);
    if (reason == Wake::unparked) [[likely]] {
      locked_ = false;
      return as_error(wait->outcome);
    }
  } else {
    reason = block(nullptr, waiter, wait->node.ticket, {.key = 0, .kind = kind, .object = object});
  }
  lock_.lock();
  if (!wait->node.linked) return as_error(wait->outcome);
  queue.remove(&wait->node);
  int error = 0;
  if (reason == Wake::interrupted) without([&] { error = wait_interrupted(); });
  return error ? error : EAGAIN;
}

}  // namespace weft
