// SPDX-License-Identifier: Apache-2.0
// Computing for about so long, as long on any machine, and the time.
#pragma once

#include <cstdint>
#include <ctime>

inline int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline void compute(long steps) {
  for (long i = 0; i < steps; i++) asm volatile("" ::: "memory");
}

// Steps of compute() in so many nanoseconds.
inline long steps_in(long nanoseconds) {
  constexpr long kTried = 10'000'000;
  int64_t before = now_ns();
  compute(kTried);
  return kTried * nanoseconds / (now_ns() - before);
}
