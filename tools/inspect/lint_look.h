// SPDX-License-Identifier: Apache-2.0
// Looks at a target, each compared with the one before, as the plain data that the rules of lint work on.
#pragma once

#include <memory>
#include <vector>

#include "lint_rules.h"
#include "look.h"

namespace weft::inspect {

struct LintLook {
  LintInput input;
  std::vector<uint32_t> copy;  // of each member: its index in the look's copies
};

class LintWatch {
 public:
  explicit LintWatch(Look& look);
  ~LintWatch();

  // Takes a look, compared with the one remembered, and leaves it in the Look with the kernel threads' stacks unwound. Of a live process
  // it finds little where none is remembered. A core or a snapshot is one instant and stands for itself.
  LintLook next(Stop stop);
  // The last look is the one to compare with from now on.
  void remember();

 private:
  struct Earlier;
  Look& look_;
  std::unique_ptr<Earlier> earlier_;
};

}  // namespace weft::inspect
