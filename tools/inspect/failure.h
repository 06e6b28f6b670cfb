// SPDX-License-Identifier: Apache-2.0
// How a command of the inspector ends: its exit statuses, and the exception that carries one with the words for it.
#pragma once

#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace weft::inspect {

enum Exit : int {
  kFine = 0,
  kFound = 1,  // lint has something to say
  kUsage = 2,
  kNoTarget = 3,  // no such process, or a file that cannot be read
  kPermission = 4,
  kNotWeft = 5,
  kVersion = 6,    // of the descriptor, or of a snapshot
  kTruncated = 7,  // a core with pieces missing, or a file of another build
  kPartial = 8,    // something is missing, and --strict was given
};

// What main() prints behind "weft: ". Says what failed, why, and what to do.
class Failure : public std::runtime_error {
 public:
  template <class... A>
  explicit Failure(Exit exit, fmt::format_string<A...> format, A&&... arguments)
      : std::runtime_error(fmt::format(format, std::forward<A>(arguments)...)), exit_(exit) {}
  Exit exit() const { return exit_; }

 private:
  Exit exit_;
};

// A line on descriptor 2 that begins with "weft: ".
void warn(const std::string& words);

}  // namespace weft::inspect
