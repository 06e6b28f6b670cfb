// SPDX-License-Identifier: Apache-2.0
// asm/system_call.h for x86-64.
#pragma once

namespace weft::cpu {

inline long system_call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

constexpr long kEpollWait = 232;
constexpr char kVdsoClockGettime[] = "__vdso_clock_gettime";

}  // namespace weft::cpu
