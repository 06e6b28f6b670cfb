// SPDX-License-Identifier: Apache-2.0
// A part of a call in which neither a cancellation nor a deadline ends a wait.
#pragma once

#include "sched/coroutine.h"

namespace weft {

// `self`: the caller, null where it is no coroutine.
class Shield {
 public:
  explicit Shield(Coroutine* self) : self_(self) {
    if (!self_) return;
    outer_ = self_->calls_deadline;
    self_->calls_deadline = kNever;
    self_->shields++;
  }
  ~Shield() {
    if (!self_) return;
    self_->shields--;
    self_->calls_deadline = outer_;
  }
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;

 private:
  Coroutine* self_;
  uint64_t outer_ = 0;
};

}  // namespace weft
