// SPDX-License-Identifier: Apache-2.0
// Frames of a stack in words, for the commands that show stacks beside something else.
#pragma once

#include <string>
#include <vector>

#include "look.h"

namespace weft::inspect {

// "serve(int) at server.cc:12", "serve(int) at server.cc:12 [inlined]", or "read in libc.so.6" where no line is known.
std::string location_text(const Symbols& symbols, const Named& named, const Location& location);

// Such lines of a stack, innermost first; the runtime's own frames only where all are wanted. Inlined functions have lines too.
std::vector<std::string> frame_lines(Look& look, const Trace& trace, bool all);

// Names for a flame graph: without arguments, the first function first.
std::vector<std::string> frame_names(Look& look, const Trace& trace, bool all);

}  // namespace weft::inspect
