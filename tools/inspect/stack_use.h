// SPDX-License-Identifier: Apache-2.0
// How much of its stack a coroutine uses now, and the most that it is known to have used.
#pragma once

#include <cstdint>
#include <optional>

#include "look.h"

namespace weft::inspect {

// From its stack pointer up; none: it is not known where that is.
std::optional<uint64_t> stack_used(const StackCopy& copy);

// In whole pages: what is in use now, or was when the runtime gave some of it back. A stack goes on to the next coroutine with its pages,
// so that one before (Coroutine::generation) may have been the one that got there. None: a stack of the program's own, whose pages say
// nothing of calls, or one without any.
std::optional<uint64_t> stack_reached(Look& look, const StackCopy& copy);

}  // namespace weft::inspect
