// SPDX-License-Identifier: Apache-2.0
// Rings of events and their writers.
#include "sched/trace.h"

#include "sched/clock.h"
#include "sched/large.h"
#include "sched/reserve.h"
#include "sched/worker.h"

namespace weft {

constinit std::atomic<uint64_t> trace_wanted{0};
constinit std::atomic<uint32_t> tracing{0};
WEFT_LARGE constinit TraceRing trace_rings[kMaxWorkers + 1] = {};

namespace {

static_assert((kTraceEntries & (kTraceEntries - 1)) == 0);

// Rings stay: a reader may be in one, and a writer that saw `tracing` may come late.
bool make_rings() {
  for (unsigned i = 0; i <= worker_count(); i++) {
    TraceRing& ring = trace_rings[i];
    if (ring.entries) continue;
    void* memory = reserve(kTraceEntries * sizeof(TraceEntry));
    if (!memory) return false;
    __atomic_store_n(&ring.entries, (TraceEntry*)memory, __ATOMIC_RELEASE);
  }
  return true;
}

}  // namespace

void trace_write(const Worker* worker, TraceEvent event, uint32_t coroutine, uint64_t object, uint32_t detail) {
  TraceRing& ring = trace_rings[worker ? worker->index + 1 : 0];
  auto* entries = (TraceEntry*)__atomic_load_n(&ring.entries, __ATOMIC_ACQUIRE);
  if (!entries) return;
  // A signal handler, or the monitor for a carrier, may write between two steps of another.
  uint64_t number = __atomic_fetch_add(&ring.next, 1, __ATOMIC_RELAXED);
  TraceEntry& entry = entries[number & (kTraceEntries - 1)];
  __atomic_store_n(&entry.number, 0u, __ATOMIC_RELAXED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  entry.time = now_ns();
  entry.object = object;
  entry.coroutine = coroutine;
  entry.event = (uint16_t)event;
  entry.detail = (uint16_t)detail;
  // Release: who finds the number finds the entry.
  __atomic_store_n(&entry.number, (uint32_t)number + 1, __ATOMIC_RELEASE);
}

void trace_look(uint64_t now) {
  uint64_t until = trace_wanted.load(std::memory_order_acquire);
  bool on = tracing.load(std::memory_order_relaxed);
  if (!until && !on) [[likely]]
    return;
  if (until > now) {
    if (!on && make_rings()) tracing.store(1, std::memory_order_release);
    return;
  }
  tracing.store(0, std::memory_order_release);
  if (until) trace_wanted.compare_exchange_strong(until, 0);
}

void trace_reset() {
  tracing.store(0, std::memory_order_relaxed);
  trace_wanted.store(0, std::memory_order_relaxed);
}

}  // namespace weft
