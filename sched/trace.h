// SPDX-License-Identifier: Apache-2.0
// The timeline: what coroutines do, written into rings that the inspector reads from outside while the program goes on.
//
// Off, an event costs a load, a branch and a nop. The inspector turns it on by storing into trace_wanted a time until which it wants events; the
// monitor makes the rings, and puts an end to it when that time is over, whatever became of the inspector.
//
//   ring    one a worker, and one for those who are no worker. Entries are numbered; the newest overwrite the oldest
//   entry   its number is stored last: a reader that finds another number there has been overtaken, or comes too early
#pragma once

#include <atomic>
#include <cstdint>
#include <sys/sdt.h>

#include "sched/descriptor.h"

namespace weft {

struct Worker;

extern std::atomic<uint64_t> trace_wanted;  // CLOCK_MONOTONIC; 0: no. The inspector writes it
extern std::atomic<uint32_t> tracing;
extern TraceRing trace_rings[];

void trace_write(const Worker* worker, TraceEvent event, uint32_t coroutine, uint64_t object, uint32_t detail);

// `worker`: whose ring; null: that of those who are none. `event`: a TraceEvent without its scope, which is also the name of a probe of
// provider weft (SystemTap's format, that of perf and bpftrace), with the other three as arguments: a nop until somebody asks.
#define WEFT_TRACE(worker, event, coroutine, object, detail)                     \
  do {                                                                           \
    DTRACE_PROBE3(weft, event, coroutine, object, detail);                       \
    if (::weft::tracing.load(std::memory_order_relaxed)) [[unlikely]]            \
      ::weft::trace_write(worker, TraceEvent::event, coroutine, object, detail); \
  } while (0)

void trace_look(uint64_t now);  // monitor
void trace_reset();             // fork child

}  // namespace weft
