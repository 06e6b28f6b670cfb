// SPDX-License-Identifier: Apache-2.0
// Time for the runtime: CLOCK_MONOTONIC in nanoseconds, from the vDSO itself, so that a preloaded clock shim moves no deadline of ours.
#pragma once

#include <atomic>
#include <cstdint>
#include <time.h>

namespace weft {

uint64_t now_ns();  // CLOCK_MONOTONIC; any thread, async-signal-safe
uint64_t clock_ns(clockid_t clock);
void clock_init();

// The time as it was not long ago: stored by every worker in its loop and by the monitor, read where a rough time does.
extern std::atomic<uint64_t> coarse_now;

// An absolute time of `clock` as a deadline of CLOCK_MONOTONIC. Past times give 0.
uint64_t deadline_at(clockid_t clock, const timespec* time);
// A relative time from now on; saturates at kNever.
uint64_t deadline_in(uint64_t nanoseconds);

inline timespec to_timespec(uint64_t nanoseconds) {
  return {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
}

}  // namespace weft
