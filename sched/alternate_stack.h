// SPDX-License-Identifier: Apache-2.0
// The kernel thread's alternate stack (sigaltstack): weft's while it is a carrier, the program's in a signal window and when the coroutine
// is pinned.
//
// The kernel takes it away while a handler runs on it (SS_AUTODISARM): or neither that handler nor the return from it could change it.
#pragma once

#include <csignal>
#include <cstdint>

#include "sched/coroutine.h"

namespace weft {

constexpr unsigned kAutoDisarm = 1u << 31;  // SS_AUTODISARM

stack_t alternate_stack(void* lowest, uint64_t size);  // lowest null: none
stack_t alternate_stack_of_carrier(const Coroutine* self);
stack_t alternate_stack_of_program(const Coroutine* self);
stack_t alternate_stack_seen_by_program(const Coroutine* self);  // that one, with the flags the program has set

// In the kernel, for the calling thread. Touches no errno.
void set_alternate_stack(const stack_t& stack);

// Whether a handler runs on the program's is told by where it is.
inline bool on_alternate_stack(const Coroutine* self, const void* at) {
  return (uint64_t)at - (uint64_t)self->alternate_stack < self->alternate_size;
}

}  // namespace weft
