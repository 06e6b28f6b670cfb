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

// A head and a line for each. `waits_room`: columns for what they wait for; 0: as many as it takes.
std::vector<std::string> table_of(Rows& rows, const std::vector<uint32_t>& chosen, size_t waits_room);

// Until the user quits. Throws Failure when the process has ended.
void run_screen(Look& look, Options options, std::chrono::nanoseconds interval);

}  // namespace weft::inspect
