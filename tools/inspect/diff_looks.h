// SPDX-License-Identifier: Apache-2.0
// What has changed between two looks at one program, from plain data.
//
//   stuck   the same coroutine, in the same wait: it was not switched to in between. Idle ones are among them; what is meant is theirs to say
//           who know the program, so they come in places, the longest wait first
//   grown   places where more coroutines stand than before
//   gone    places of coroutines that have ended since
// Ids are never used again, so the same id is the same coroutine. A place is a stack by the names of its functions: addresses of two runs
// of one program differ.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::inspect {

struct DiffCoroutine {
  uint32_t id = 0;
  uint32_t sequence = 0;
  bool is_parked = false;
  uint64_t waited = 0;  // nanoseconds, 0: not known
  std::vector<std::string> place;
};

struct DiffPlace {
  std::vector<std::string> place;
  std::vector<uint32_t> ids;     // stuck: those; grown: the new ones there; gone: those
  size_t before = 0, after = 0;  // coroutines that stand there
  uint64_t waited = 0;           // the longest of them
};

struct Difference {
  std::vector<DiffPlace> stuck, grown, gone;
  size_t before = 0, after = 0;  // coroutines
  size_t made = 0, ended = 0;
};

Difference difference(const std::vector<DiffCoroutine>& older, const std::vector<DiffCoroutine>& newer);

}  // namespace weft::inspect
