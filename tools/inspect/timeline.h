// SPDX-License-Identifier: Apache-2.0
// The events of a live target over a while: asks its runtime to write them, reads its rings meanwhile, and asks it to stop.
//
// The target goes on all the time. Its monitor begins and ends the writing; it ends it by itself if we do not come back.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime.h"
#include "target.h"

namespace weft::inspect {

struct Timeline {
  uint64_t begin = 0, end = 0;  // CLOCK_MONOTONIC
  std::vector<std::vector<TraceEntry>>
      ring;                 // 0: of those who are no worker; then one a worker. In the order of writing
  uint64_t lost = 0;        // overwritten before they were read
  bool was_asleep = false;  // nothing went on: the monitor slept all the time
};

// Throws Failure: kUsage where the target is not live, kPermission, kVersion, kNoTarget where it ended first.
Timeline record(Target& target, const Runtime& runtime, uint64_t nanoseconds);

}  // namespace weft::inspect
