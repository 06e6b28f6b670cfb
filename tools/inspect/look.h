// SPDX-License-Identifier: Apache-2.0
// One look at a target, as all commands need it: coroutines and their stacks copied, unwound where that is asked for, grouped, named.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime.h"
#include "stacks.h"
#include "symbols.h"
#include "target.h"
#include "unwind.h"

namespace weft::inspect {

struct Options;

// Coroutines that stand at the same place.
struct Group {
  uint64_t id = 0;  // of the stack, from 1
  Trace trace;
  std::vector<uint32_t> members;  // indices into Stacks::copies
};

class Look {
 public:
  Look(std::unique_ptr<Target> target, const Options& options);

  Target& target() { return *target_; }
  const Runtime& runtime() const { return runtime_; }
  Symbols& symbols() { return symbols_; }
  const Stacks& stacks() const { return stacks_; }
  uint64_t clock() const { return stacks_.clock; }

  // Copies slots and stacks (again).
  void take(const CopyOptions& options);
  // Unwinds those of `which` (all of stacks().copies when empty), and groups them, the largest first.
  void unwind(const std::vector<uint32_t>& which = {});

  const std::vector<Group>& groups() const { return groups_; }
  const Group* group_of(uint32_t copy) const;  // null: not unwound

  // Frames that a user wants to see: without the runtime's unless all are wanted.
  std::vector<Frame> shown(const Trace& trace, bool all) const;
  // The first frame of the program's own: of its file or of what lies outside the distribution's library directories. Where there is
  // none, of a library that is not libc's, the loader's or a compiler's runtime; else of any but weft.
  const Frame* top(const Trace& trace) const;

  const Coroutine* by_address(uint64_t slot) const;
  const Coroutine* by_tid(int tid) const;
  const Coroutine* by_id(uint32_t id) const;

  // What went wrong for the exit status: 0, kTruncated, or kPartial where something is missing and `strict`.
  int status(bool strict) const;

 private:
  std::unique_ptr<Target> target_;
  Runtime runtime_;
  Symbols symbols_;
  Stacks stacks_;
  std::unique_ptr<Unwinder> unwinder_;
  std::vector<Group> groups_;
  std::vector<int32_t> group_of_;
  std::unordered_map<uint64_t, uint32_t> by_address_;
  std::unordered_map<int, uint32_t> by_tid_;
  std::unordered_map<uint32_t, uint32_t> by_id_;
  enum class Origin : uint8_t { system, library, program };
  std::vector<Origin> origin_;  // of each module
};

}  // namespace weft::inspect
