// SPDX-License-Identifier: Apache-2.0
// mlockall: what weft has mapped ahead of need would be locked, and filled, with what the program uses.
#include "hook/hook.h"

#include "sched/reserve.h"
#include "sched/stack.h"

using namespace weft;

WEFT_EXPORT int mlockall(int flags) noexcept {
  if (thread_state.vfork_child) return real().mlockall(flags);
  bool before = maps_are_locked(flags & MCL_FUTURE);
  stack_give_back_rest();
  int result = real().mlockall(flags);
  if (result) maps_are_locked(before);
  return result;
}

WEFT_EXPORT int munlockall() noexcept {
  int result = real().munlockall();
  if (result == 0 && !thread_state.vfork_child) maps_are_locked(false);
  return result;
}
