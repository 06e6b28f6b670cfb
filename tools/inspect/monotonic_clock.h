// SPDX-License-Identifier: Apache-2.0
// CLOCK_MONOTONIC of this process, in nanoseconds: that of a live target as well, but for one in a time namespace of its own.
#pragma once

#include <cstdint>
#include <ctime>

namespace weft::inspect {

inline uint64_t monotonic_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

}  // namespace weft::inspect
