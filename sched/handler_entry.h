// SPDX-License-Identifier: Apache-2.0
// Handlers of the program's for what may strike a carrier: what an instruction raises (a fault, a trap, abort()), and the
// signals of CPU time (cpu_time_signals.h).
//
// Carriers have these signals open, so one strikes in the midst of a coroutine, with the carrier's mask and on the carrier's alternate
// stack. Once the runtime runs, weft's entry stands in the kernel in front of each such handler. It makes the kernel thread what the
// program's thread is:
//
//   stack   with SA_ONSTACK, the stack the coroutine has set, or else its own. The entry gives the kernel that stack and
//           returns with the signal sent once more, which comes to the entry on the right stack
//   mask    the coroutine's own, and what the handler's action adds; calls are native. That is a window; see
//           sched/signals.h
//
// The program sees its own handler wherever it asks.
#pragma once

#include <csignal>
#include <cstdint>

namespace weft {

struct Coroutine;

// The runtime begins: stands in front of the handlers that are there already.
void handler_entry_begin();

// sigaction(2) as the program sees it: 0, or -1 and errno. Any thread; also from a signal handler and a vfork child.
int program_sigaction(int signal, const struct sigaction* wanted, struct sigaction* old);

// For calls in which libc itself changes an action: what the program's handler was before, if `handler` is our entry...
sighandler_t handler_of_program(int signal, sighandler_t handler);
// ... and afterwards: stands in front of a new one.
void handler_entry_recheck(int signal);

// Has the program ever installed a handler with SA_ONSTACK?
bool handlers_use_alternate_stacks();

// A longjmp of the coroutine's, or its end: it may leave a handler that was entered without a window.
void handler_entry_left(Coroutine* self);

}  // namespace weft
