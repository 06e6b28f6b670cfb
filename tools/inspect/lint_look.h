// SPDX-License-Identifier: Apache-2.0
// Two looks at a live process, or one at a core or a snapshot, as the plain data that the rules of lint work on.
#pragma once

#include <string>
#include <vector>

#include "lint_rules.h"
#include "look.h"

namespace weft::inspect {

struct LintLooks {
  LintInput input;
  std::vector<uint32_t> copy;  // of each member: its index in the last look's copies
};

// Leaves the last look in `look`, with the kernel threads' stacks unwound.
LintLooks look_for_lint(Look& look, Stop stop);

}  // namespace weft::inspect
