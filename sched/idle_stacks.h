// SPDX-License-Identifier: Apache-2.0
// Stacks of coroutines that are parked for long: what was dirtied below the stack pointer goes back to the kernel.
//
// A call that went deep once, a handshake or a query, leaves its pages with a connection that then waits for hours. Given back after two
// looks at the same wait; what is needed again is a page fault each.
#pragma once

#include <cstdint>

namespace weft {

// Monitor, in each round: looks at some more of the coroutines. `busy`: no more often than every few seconds.
void idle_stacks_look(uint64_t now, bool busy);
// Has everything been given back, but of a few?
bool idle_stacks_settled();
// Is there anything left for another look, be it little?
bool idle_stacks_left();
// The program makes stacks of its own, perhaps on those of coroutines, where the pages below one stack pointer are those of another
// context. Nothing is given back any more.
void idle_stacks_stay();
void idle_stacks_reset();  // fork child

}  // namespace weft
