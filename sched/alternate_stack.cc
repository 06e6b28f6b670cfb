// SPDX-License-Identifier: Apache-2.0
// What the kernel is given as the alternate stack.
#include "sched/alternate_stack.h"

#include "sched/sys.h"
#include "sched/worker.h"

namespace weft {

stack_t alternate_stack(void* lowest, uint64_t size) {
  if (!lowest) return {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  return {.ss_sp = lowest, .ss_flags = (int)kAutoDisarm, .ss_size = size};
}

stack_t alternate_stack_of_carrier(const Coroutine* self) {
  return alternate_stack(self->carrier->alternate_stack, kAlternateStack);
}

stack_t alternate_stack_of_program(const Coroutine* self) {
  return alternate_stack(self->alternate_size ? self->alternate_stack : nullptr, self->alternate_size);
}

stack_t alternate_stack_seen_by_program(const Coroutine* self) {
  stack_t stack = alternate_stack_of_program(self);
  if (self->alternate_size) stack.ss_flags = self->alternate_flags;
  return stack;
}

void set_alternate_stack(const stack_t& stack) { sys::call(SYS_sigaltstack, sys::word(&stack), 0); }

}  // namespace weft
