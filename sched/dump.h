// SPDX-License-Identifier: Apache-2.0
// The stacks of all coroutines, written where the log goes: when WEFT_DUMP_SIGNAL comes, when a stack has overflowed, when an invariant
// of weft's own is broken.
//
// The library never unwinds a stack: the monitor starts weft-inspect on its own process, if that lies where it was installed or built,
// and ends it when it takes too long. Elsewhere the log says which command shows them.
#pragma once

#include <cstdint>

namespace weft {

void dump_init();  // with the runtime

// Asks the monitor. Async-signal-safe.
void dump_request();
// The same, and waits for its end, which is bounded. Not by the monitor.
void dump_now();

bool dump_look(uint64_t now);  // monitor; true: one is being made
void dump_reset();             // fork child

}  // namespace weft
