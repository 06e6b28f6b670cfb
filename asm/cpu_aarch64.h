// SPDX-License-Identifier: Apache-2.0
// asm/cpu.h for aarch64.
#pragma once

namespace weft::cpu {

inline void pause() {
  asm volatile("isb" ::: "memory");
}  // `yield` does nothing on most; an isb costs about what a pause does

// The generic timer counts as fast as each machine says; made of it is what x86's counts.
inline uint64_t time_stamp() {
  uint64_t count, frequency;
  asm volatile("mrs %0, cntvct_el0" : "=r"(count));
  asm("mrs %0, cntfrq_el0" : "=r"(frequency));
  constexpr uint64_t kWanted = 3'000'000'000;
  return frequency && frequency < kWanted ? count * (kWanted / frequency) : count;
}
inline void* thread_pointer_now() {
  void* pointer;
  asm volatile("mrs %0, tpidr_el0" : "=r"(pointer) : : "memory");
  return pointer;
}
// A load that follows ldaxr and stlxr may be answered before the store is seen.
inline void fence_after_atomic() { asm volatile("dmb ish" ::: "memory"); }

}  // namespace weft::cpu
