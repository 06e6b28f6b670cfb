// SPDX-License-Identifier: Apache-2.0
// asm/signal_frame.h for aarch64.
#pragma once

namespace weft {

inline uintptr_t interrupted_pc(const void* context) { return ((const ucontext_t*)context)->uc_mcontext.pc; }
inline uintptr_t interrupted_sp(const void* context) { return ((const ucontext_t*)context)->uc_mcontext.sp; }
// Instructions are aligned: the address of one that cannot be fetched is the pc. One that has been fetched cannot fail for itself.
inline bool faulted_by_fetch(const siginfo_t* info, const void* context) {
  return (uintptr_t)info->si_addr == interrupted_pc(context);
}

}  // namespace weft
