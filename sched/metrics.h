// SPDX-License-Identifier: Apache-2.0
// The counters of metrics.def. Each worker counts for itself without atomics; guests and the monitor share one set.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/descriptor.h"

namespace weft {

enum class Metric : uint32_t {
#define WEFT_METRIC(name, text) name,
#include "sched/metrics.def"
#undef WEFT_METRIC
  kCount
};

struct Metrics {
  uint64_t value[(unsigned)Metric::kCount] = {};
};

extern const CounterName counter_names[(unsigned)Metric::kCount];
extern std::atomic<uint64_t> shared_counters[(unsigned)Metric::kCount];  // of those who are no worker

// Any thread. A coroutine inside the runtime counts in its worker's set.
void count(Metric metric, uint64_t by = 1);
inline void count(Metrics& metrics, Metric metric, uint64_t by = 1) {
  uint64_t& v = metrics.value[(unsigned)metric];
  __atomic_store_n(&v, __atomic_load_n(&v, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}
uint64_t total(Metric metric);

// Writes the table of WEFT_STATS, if it is wanted. Async-signal-safe. Once a process.
void write_stats();
bool stats_wanted();
// At the runtime's start: SIGTERM, SIGINT and SIGHUP, where they would end the process, write the table first.
void stats_signals_init();
void metrics_layout_known();  // at the runtime's start: what a TLS block takes is a figure, too
void metrics_reset();         // fork child

}  // namespace weft
