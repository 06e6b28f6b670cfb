// SPDX-License-Identifier: Apache-2.0
// Signals of the process's CPU time, SIGPROF and SIGVTALRM, which profilers live by.
//
// The kernel gives such a signal to the kernel thread that was running when the time was up, if it has it open; the
// program's profiler counts on that. So once the program has a handler, carriers have the signal open, and weft's entry
// in front of the handler (handler_entry.h) finds the coroutine whose time it was:
//
//   in the program's code     the handler runs at once, and sees the place that was interrupted
//   in weft's code            where locks may be held: the coroutine has it pending, and takes it at its next call
//   between two coroutines    the next one that has it unblocked takes it
//   blocked by the coroutine  somebody else who has it unblocked takes it; if nobody has, it pends for the process and
//                             carriers have it open no more
//
// Nothing here takes a lock or touches errno: it runs in signal handlers in the midst of the runtime.
#pragma once

#include <csignal>
#include <cstdint>

namespace weft {

struct Carrier;
struct Coroutine;

bool is_cpu_time_signal(int signal);

// What carriers have open.
uint64_t cpu_time_signals_open();

// The program has a handler for one of them. Any thread.
void cpu_time_signal_handled(int signal);

// From the entry, whose frame is `context`: one that strikes a carrier between two coroutines,
void cpu_time_signal_strikes_loop(Carrier* carrier, int signal, void* context);
// one whose handler cannot run now,
void cpu_time_signal_waits(Coroutine* self, int signal);
// and one that the coroutine blocks.
void cpu_time_signal_passes_by(int signal, void* context);

// A kick that interrupted the code of a coroutine: opens what the handler's frame has blocked.
void cpu_time_signals_open_in(Carrier* carrier, void* context);
// The carrier's loop, with the coroutine to run next.
void cpu_time_signals_settle(Carrier* carrier, Coroutine* next);

}  // namespace weft
