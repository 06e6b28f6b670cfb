// SPDX-License-Identifier: Apache-2.0
// A scope's list of children: who is in it, and the first failure. The storage of a co_scope_t.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/lock.h"

namespace weft {

struct Coroutine;

struct Scope {
  Lock lock;                       // guards the list and the flags
  std::atomic<int32_t> error;      // of the first child that failed
  std::atomic<uint32_t> children;  // that have not ended
  bool cancelled;                  // nobody enters any more
  Coroutine* first;
  uint64_t reserved[3];
};

// A child that has been made and has not begun; its end, when its stack has been left for good. `error`: it has failed.
void scope_enter(Scope* scope, Coroutine* child);
void scope_leave(Scope* scope, Coroutine* child, int error);

}  // namespace weft
