// SPDX-License-Identifier: Apache-2.0
// asm/system_call.h for aarch64.
#pragma once

namespace weft::cpu {

inline long system_call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  return x0;
}

constexpr long kEpollWait = -1;
constexpr char kVdsoClockGettime[] = "__kernel_clock_gettime";

}  // namespace weft::cpu
