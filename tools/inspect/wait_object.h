// SPDX-License-Identifier: Apache-2.0
// What a coroutine waits for: the descriptor with its peer, the lock with its owner, whom it joins, until when it sleeps, in which call its
// kernel thread is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "filter.h"
#include "look.h"

namespace weft::inspect {

struct WaitedFor {
  std::string kind;  // "read", "write", "poll", "mutex", "rwlock read", "join", …; "" waits for nothing
  std::vector<int> fds;
  std::vector<Descriptor> descriptors;  // of fds, as far as known
  uint64_t object = 0;                  // address
  std::string object_name;              // of a mailbox that has one
  int owner_tid = 0;                    // of a mutex or a rwlock held by a writer: as the lock holds it
  std::optional<uint32_t> owner;        // coroutine
  std::optional<uint32_t> target;       // of a join: coroutine
  std::optional<int64_t> left;          // nanoseconds to its deadline, negative: past
  std::string function;                 // of a region: the call that it is in
  std::string pinned;                   // reason, "" it is not pinned
};

// Its kind alone, for which nothing more is read of the target.
const char* kind_of_wait(const StackCopy& copy);
WaitedFor waited_for(Look& look, uint32_t copy);

std::string text(const WaitedFor& waited);  // "read fd 7 (10.0.0.1:5123)", "mutex 0x… held by 12"

}  // namespace weft::inspect
