// SPDX-License-Identifier: Apache-2.0
// The switch from one context of the runtime to another, announced to ThreadSanitizer in builds that have it.
//
// ThreadSanitizer keeps its state of a thread in TLS, where a pointer says which state is the current one. It thinks of a switch as a
// change of that pointer; here the pointer goes with the TLS block, as everything in TLS does. So after its own switch the pointer of
// the block that is left is put right again, and that of the block that is entered is set.
#pragma once

#include "asm/context.h"
#include "sched/thread_state.h"

namespace weft {

#ifndef __SANITIZE_THREAD__

// A kernel thread may go on with the TLS block of a dead one.
constexpr bool kMayTakeOverBlocks = true;
inline uintptr_t switch_context(Context* from, Context* to, uintptr_t message) {
  return weft_switch(from, to, message);
}
// The context of this TLS block will not go on.
// A store in assembly makes known what came before it to who has seen it.
inline void announce_publication(const void*) {}
inline void announce_sight(const void*) {}
inline void forget_context(const void*) {}
// The module loaded at `base` keeps in TLS what a new thread of control must not find reset.
inline bool keeps_sanitizer_state(const void*) { return false; }

#else

constexpr bool kMayTakeOverBlocks = false;
uintptr_t switch_context(Context* from, Context* to, uintptr_t message);
void announce_publication(const void* what);
void announce_sight(const void* what);
void forget_context(const void* thread_pointer);
bool keeps_sanitizer_state(const void* base);

#endif

}  // namespace weft
