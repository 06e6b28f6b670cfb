// SPDX-License-Identifier: Apache-2.0
// The counters' shared set, their sums, and what WEFT_STATS prints: once a process, by one write(2), from wherever it
// ends.
#include "sched/metrics.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include "sched/large.h"
#include "sched/log.h"
#include "sched/options.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/worker.h"

namespace weft {

constinit std::atomic<uint64_t> shared_counters[(unsigned)Metric::kCount] = {};
const CounterName counter_names[(unsigned)Metric::kCount] = {
#define WEFT_METRIC(name, text) {#name, text},
#include "sched/metrics.def"
#undef WEFT_METRIC
};

namespace {

constexpr unsigned kCounters = (unsigned)Metric::kCount;
constexpr unsigned kTableRoom = 24 * 1024;  // counters with their texts, and a line for each of kMaxWorkers

constinit std::atomic<bool> written{false};
constinit bool fork_child = false;
WEFT_LARGE constinit char table[kTableRoom];

// The worker whose set the caller may write without atomics: it is inside the runtime and nobody is taking its worker
// away.
Worker* worker_of_caller() {
  const Coroutine* self = woven();
  Carrier* carrier = self ? self->carrier : thread_state.carrier;
  if (!carrier || !carrier->inside.load(std::memory_order_relaxed) || carrier->taken.load(std::memory_order_relaxed))
    return nullptr;
  return carrier->worker;
}

[[gnu::format(printf, 2, 3)]] unsigned append(unsigned length, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  length += format_line(table + length, kTableRoom - length, format, arguments);
  va_end(arguments);
  return length;
}

unsigned make_human_table() {
  unsigned length = append(0, "weft: counters of %s (pid %d)\n", program_invocation_short_name, (int)sys::getpid());
  for (unsigned i = 0; i < kCounters; i++)
    length =
        append(length, "weft:   %-20s %14lu  %s\n", counter_names[i].name, total(Metric(i)), counter_names[i].text);
  for (unsigned i = 0; i < worker_count(); i++)
    length = append(length, "weft:   worker %-13u %14lu  switches\n", i,
                    worker_at(i)->switches.load(std::memory_order_relaxed));
  return length;
}

unsigned make_file_table() {
  unsigned length = append(0, "weft stats pid=%d exe=%s\n", (int)sys::getpid(), program_invocation_short_name);
  for (unsigned i = 0; i < kCounters; i++) length = append(length, "%s %lu\n", counter_names[i].name, total(Metric(i)));
  for (unsigned i = 0; i < worker_count(); i++)
    length = append(length, "worker %u switches %lu\n", i, worker_at(i)->switches.load(std::memory_order_relaxed));
  return length;
}

bool is_word(const char* value, const char* a, const char* b) { return strcmp(value, a) == 0 || strcmp(value, b) == 0; }

}  // namespace

void count(Metric metric, uint64_t by) {
  if (Worker* worker = worker_of_caller())
    count(worker->metrics, metric, by);
  else
    shared_counters[(unsigned)metric].fetch_add(by, std::memory_order_relaxed);
}

uint64_t total(Metric metric) {
  if (metric == Metric::coroutine_slots) return coroutine_slots();
  if (metric == Metric::coroutines_alive) return coroutines_counted().alive;
  if (metric == Metric::coroutines_waiting) return coroutines_counted().waiting;
  uint64_t sum = shared_counters[(unsigned)metric].load(std::memory_order_relaxed);
  for (unsigned i = 0; i < worker_count(); i++) {
    sum += __atomic_load_n(&worker_at(i)->metrics.value[(unsigned)metric], __ATOMIC_RELAXED);
    // A switch bumps the worker's own word, which the monitor reads as well, and nothing else.
    if (metric == Metric::switches) sum += worker_at(i)->switches.load(std::memory_order_relaxed);
  }
  return sum;
}

bool stats_wanted() { return options.stats && !is_word(options.stats, "0", "no"); }

void write_stats() {
  // A fork child that wove nothing has nothing to say: shells make thousands of them.
  if (!stats_wanted() || (fork_child && !total(Metric::coroutines_created))) return;
  if (written.exchange(true)) return;
  if (!*options.stats || is_word(options.stats, "1", "yes")) {
    unsigned length = make_human_table();
    write_messages(table, length);
    return;
  }
  unsigned length = make_file_table();
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word(options.stats), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  long result = fd < 0 ? fd : sys::write((int)fd, table, length);
  if (fd >= 0) sys::close((int)fd);
  if (result < 0) log(Level::error, "the counters cannot be written to %s (errno %d)", options.stats, (int)-result);
}

void metrics_layout_known() {
  shared_counters[(unsigned)Metric::tls_bytes].store(tls_static_size(), std::memory_order_relaxed);
}

void metrics_reset() {
  for (std::atomic<uint64_t>& value : shared_counters) value.store(0, std::memory_order_relaxed);
  written.store(false, std::memory_order_relaxed);
  fork_child = true;
}

}  // namespace weft
