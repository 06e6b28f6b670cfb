// SPDX-License-Identifier: Apache-2.0
// asm/cpu.h for x86-64.
#pragma once

namespace weft::cpu {

inline void pause() { __builtin_ia32_pause(); }
inline uint64_t time_stamp() { return __builtin_ia32_rdtsc(); }
inline void* thread_pointer_now() {
  void* pointer;
  asm volatile("mov %%fs:0, %0" : "=r"(pointer) : : "memory");
  return pointer;
}
// Every locked instruction is a barrier, and GCC and clang move no access to memory across one.
inline void fence_after_atomic() {}

}  // namespace weft::cpu
