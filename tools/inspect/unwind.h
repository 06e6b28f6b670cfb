// SPDX-License-Identifier: Apache-2.0
// From a copied stack to the chain of its frames. Two unwinders behind one interface: libunwind, and libdw as its oracle.
//
// Unwind tables are read from the target's memory, so they are those of the code that runs; where a core does not hold them, from the
// module's file of the same build. Where there are none the unwinder says so and stops: a guess by frame pointers would look plausible.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stacks.h"

namespace weft::inspect {

struct Frame {
  uint64_t pc = 0;
  uint64_t cfa = 0;  // stack pointer of the caller, 0: not known
  bool exact =
      false;  // the pc itself is to be named, not the call before it: the first frame of a running one, and what a signal
              // interrupted
};

struct Trace {
  std::vector<Frame> frames;
  Ending ending = Ending::complete;
  uint64_t where = 0;  // the pc or the address at which it stopped short
};

class Unwinder {
 public:
  virtual ~Unwinder() = default;
  virtual Trace unwind(const StackCopy& copy, std::span<const char> stack) = 0;
};

constexpr unsigned kMaxFrames = 1024;

enum class UnwinderKind : uint8_t { libunwind, libdw };
std::unique_ptr<Unwinder> make_unwinder(UnwinderKind kind, const Runtime& runtime);

}  // namespace weft::inspect
