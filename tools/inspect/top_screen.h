// SPDX-License-Identifier: Apache-2.0
// The terminal of weft top.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "look.h"
#include "options.h"
#include "rows.h"

namespace weft::inspect {

// A head and a line for each.
std::vector<std::string> table_of(Rows& rows, const std::vector<uint32_t>& chosen);

// Until the user quits. Throws Failure when the process has ended.
void run_screen(Look& look, Options options, std::chrono::nanoseconds interval);

}  // namespace weft::inspect
