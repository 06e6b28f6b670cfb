// SPDX-License-Identifier: Apache-2.0
// asm/signal_frame.h for x86-64.
#pragma once

namespace weft {

inline uintptr_t interrupted_pc(const void* context) {
  return (uintptr_t)((const ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
}
inline uintptr_t interrupted_sp(const void* context) {
  return (uintptr_t)((const ucontext_t*)context)->uc_mcontext.gregs[REG_RSP];
}
inline bool faulted_by_fetch(const siginfo_t*, const void* context) {
  constexpr greg_t kFetch = 16;  // of an instruction, in the processor's error code
  return ((const ucontext_t*)context)->uc_mcontext.gregs[REG_ERR] & kFetch;
}

}  // namespace weft
