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
  LintWatch(Look& look, Stop stop);
  ~LintWatch();

  // Takes a look, and leaves it in the Look with the kernel threads' stacks unwound. Of a live process the first one finds nothing: there
  // is none to compare it with. A core or a snapshot is one instant and stands for itself.
  LintLook next();

 private:
  struct Earlier;
  void remember();

  Look& look_;
  Stop stop_;
  std::unique_ptr<Earlier> earlier_;
};

}  // namespace weft::inspect
