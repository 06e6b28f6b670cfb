// SPDX-License-Identifier: Apache-2.0
// The monitor's round: takes workers from stuck carriers, makes carriers for workers that wait for one, asks the running coroutine to
// give way, looks at waits that last, gives back what the stacks of parked ones do not need, and ends the process when main has left and
// nobody else remains.
//
// It sleeps once every worker sleeps in its poller: for ever if nothing is left to look at, else for a second. The first worker that
// wakes starts it again. `asleep` and a worker's `sleeping` are stored before the other is read, so one of the two is seen.
#include "sched/monitor.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>

#include "asm/cpu.h"
#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/dump.h"
#include "sched/file_ring.h"
#include "sched/idle_stacks.h"
#include "sched/inspected.h"
#include "sched/log.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/trace.h"

namespace weft {

std::atomic<int> monitor_tid{0};

namespace {

constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kTick = 2 * kMillisecond;
constexpr uint64_t kIdleTick = 10 * kMillisecond;
constexpr uint64_t kIdleFor = 300 * kMillisecond;   // quiet for so long: no more ticks
constexpr uint64_t kLeftFor = 1000 * kMillisecond;  // a few stacks that are left are looked at then
constexpr uint64_t kRescueEvery = 50 * kMillisecond;
constexpr uint64_t kSurplusEvery = 1000 * kMillisecond;
constexpr int kBurials = 16;           // in an idle round, 100 microseconds each
constexpr uint32_t kStuckBusy = 2;     // ticks without a switch while others are ready
constexpr uint32_t kStuckIdle = 25;    // ticks without a switch while nobody is
constexpr uint32_t kWaits = 6;         // see look_at_waits()
constexpr uint32_t kShares = 256;      // ticks
constexpr uint64_t kShortTurn = 2000;  // nanoseconds
constexpr uint32_t kMoreUnderTurns =
    50;  // WEFT_CHAOS: so many times longer, since how fast the machine is shall not decide

std::atomic<uint32_t> bell{0};    // futex: bumped to make it look now
std::atomic<uint32_t> asleep{0};  // it sleeps until it is woken
std::atomic<bool> main_left{false};
std::atomic<uint64_t> last_mask{0};  // of signals: that of the last coroutine to end
const int* main_tid;                 // in main's TCB: the kernel clears it when main's kernel thread has ended

bool others_ready(Worker* worker, uint64_t now) {
  if (ready_count(worker) || worker->inbox.load(std::memory_order_relaxed) ||
      worker->returned.load(std::memory_order_relaxed) || __atomic_load_n(&worker->run_next, __ATOMIC_RELAXED) ||
      worker->timers.earliest() <= now)
    return true;
  pollfd events{worker->epoll_fd, POLLIN, 0};
  timespec none{};
  return sys::call(SYS_ppoll, sys::word(&events), 1, sys::word(&none), 0, 8) > 0;
}

// No switch for some ticks: does the carrier compute or wait in the kernel? One that only waits for a CPU is not stuck, and a second
// kernel thread would wait for it beside it.
bool is_stuck(Worker* worker) {
  Carrier* carrier = __atomic_load_n(&worker->carrier, __ATOMIC_ACQUIRE);
  if (!carrier) return false;
  return kernel_thread_cpu_time(carrier->tid) - worker->cpu_when_stuck >= (chaos_turns ? kMoreUnderTurns : 1) * kTick ||
         kernel_thread_sleeps(carrier->tid);
}

// Who is made ready by a running coroutine waits for it, because most block soon, and waking another worker costs more than that
// wait. One that computes on instead leaves work undone while workers sleep: where every third look finds that, whom it
// makes ready goes to the sleeping ones, for a while. Not where turns are short: two that hand a value to and fro are never both busy.
void look_at_waits(Worker* worker, uint64_t turns, uint64_t time) {
  if (uint32_t left = worker->shares.load(std::memory_order_relaxed)) {
    worker->shares.store(left - 1, std::memory_order_relaxed);
    return;
  }
  bool waits = ready_count(worker) || __atomic_load_n(&worker->run_next, __ATOMIC_RELAXED);
  if (waits && time >= turns * kShortTurn && worker_sleeps() && !chaos) {
    worker->waits_seen += 2;
    if (worker->waits_seen < kWaits) return;
    worker->waits_seen = 0;
    worker->shares.store(kShares, std::memory_order_relaxed);
  } else if (worker->waits_seen) {
    worker->waits_seen--;
  }
}

// What the inspector tells of a coroutine's running: whoever is found running has run since the last look.
void sample_run(Worker* worker, uint64_t now) {
  uint64_t since = worker->sampled_at, switches = worker->switches.load(std::memory_order_relaxed);
  worker->sampled_at = now;
  Carrier* carrier = __atomic_load_n(&worker->carrier, __ATOMIC_ACQUIRE);
  Coroutine* running = carrier ? __atomic_load_n(&carrier->running, __ATOMIC_RELAXED) : nullptr;
  // Of a time without looks nothing is known: what runs now counts from now on.
  bool came_late = now - since > 2 * kIdleTick;
  if (came_late || switches != worker->ticks_seen) worker->run_since = came_late ? now : since;
  if (!running || came_late || worker->sleeping.load(std::memory_order_relaxed)) return;
  running->run_time.store(running->run_time.load(std::memory_order_relaxed) + now - since, std::memory_order_relaxed);
  uint64_t run = now - worker->run_since;
  if (run > running->longest_run.load(std::memory_order_relaxed))
    running->longest_run.store(run, std::memory_order_relaxed);
}

// True: something goes on there that wants another look soon.
bool look_at(Worker* worker, uint64_t now) {
  uint64_t switches = worker->switches.load(std::memory_order_relaxed);
  look_at_waits(worker, switches - worker->ticks_seen, now - worker->sampled_at);
  sample_run(worker, now);
  bool stuck = switches == worker->ticks_seen && !worker->sleeping.load(std::memory_order_relaxed);
  worker->ticks_seen = switches;
  if (!stuck) {
    worker->ticks_stuck = 0;
    return !worker->sleeping.load(std::memory_order_relaxed);
  }
  if (worker->ticks_stuck++ == 0)
    if (Carrier* carrier = __atomic_load_n(&worker->carrier, __ATOMIC_ACQUIRE))
      worker->cpu_when_stuck = kernel_thread_cpu_time(carrier->tid);
  bool ready = others_ready(worker, now);
  if (ready) ask_to_give_way(worker);
  if (worker->ticks_stuck >= (ready ? kStuckBusy : kStuckIdle) && is_stuck(worker) && take_worker(worker)) {
    count(Metric::handoffs);
    worker->ticks_stuck = 0;
  }
  return true;
}

bool all_sleep() {
  for (unsigned i = 0; i < worker_count(); i++)
    if (!worker_at(i)->sleeping.load()) return false;
  return !worker_waits_for_carrier();
}

void end_if_alone() {
  if (!main_left.load(std::memory_order_acquire) || live_coroutines()) return;
  if (__atomic_load_n(main_tid, __ATOMIC_ACQUIRE) > 0) return;  // main's own unwinding goes on; -1: ended and joined
  if (kernel_thread_count() > carriers_alive() + relay_threads() + file_ring_threads() + 1 /* the monitor */) return;
  uint64_t mask = last_mask.load(std::memory_order_relaxed);
  sys::sigprocmask(SIG_SETMASK, &mask, nullptr);  // what the program does at its exit it does as its last thread would
  exit(0);
}

void* monitor_main(void*) {
  thread_state.of_runtime = true;
  if (!runtime_gate()) return nullptr;
  sys::call(SYS_prctl, PR_SET_NAME, sys::word("weft-monitor"));
  monitor_tid.store((int)sys::gettid(), std::memory_order_relaxed);
  uint64_t quiet_since = now_ns(), rescued = 0, surplus_counted = quiet_since;
  bool surplus = false;
  for (;;) {
    uint32_t rung = bell.load(std::memory_order_acquire);
    uint64_t now = now_ns();
    coarse_now.store(now, std::memory_order_relaxed);
    workers_pay_kicks();
    trace_look(now);
    bool dumps = dump_look(now);
    if (worker_waits_for_carrier()) carrier_create();  // it takes the worker by itself; a failure is tried again
    bool busy = worker_waits_for_carrier() || dumps;
    for (unsigned i = 0; i < worker_count(); i++) busy |= look_at(worker_at(i), now);
    signals_rescue();
    if (chaos_turns) busy |= turn_look();
    if (now - rescued >= kRescueEvery) {
      rescued = now;
      poller_rescue(now);
    }
    if (now - surplus_counted >= kSurplusEvery) {
      surplus_counted = now;
      surplus = coroutines_count_surplus();
    }
    if (surplus)
      for (int burials = busy ? 1 : kBurials; burials && coroutine_bury(); burials--) {
      }
    if (main_left.load(std::memory_order_relaxed)) {
      end_if_alone();
      busy = true;
    }
    if (busy) quiet_since = now;
    idle_stacks_look(now, busy);
    // A timeline has its end to be looked for.
    bool settled = idle_stacks_settled() && !tracing.load(std::memory_order_relaxed);
    if (now - quiet_since >= kIdleFor && settled && !surplus && !(surplus = coroutines_count_surplus())) {
      asleep.store(1);
      cpu::fence_after_atomic();  // pairs with monitor_worker_woke()
      timespec later = to_timespec(now_ns() + kLeftFor);
      long woken = 0;
      if (all_sleep() && !poller_rescue_pending())
        woken = sys::futex_wait(&bell, rung, idle_stacks_left() ? &later : nullptr);
      asleep.store(0);
      if (woken != -ETIMEDOUT) quiet_since = now_ns();
      continue;
    }
    timespec until = to_timespec(now + (busy ? kTick : kIdleTick));
    sys::futex_wait(&bell, rung, &until);
  }
  return nullptr;
}

}  // namespace

uint64_t kernel_thread_cpu_time(int tid) {
  return clock_ns((clockid_t)(~(unsigned)tid << 3 | 6));  // the clock of pthread_getcpuclockid
}

bool kernel_thread_sleeps(int tid) {
  char text[512];
  format_text(text, sizeof text, "/proc/self/task/%d/stat", tid);
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word(text), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;  // no /proc: believe that it does
  long length = sys::call(SYS_read, fd, sys::word(text), sizeof text - 1);
  sys::close((int)fd);
  if (length <= 0) return false;
  text[length] = 0;
  const char* state = strrchr(text, ')');
  return state && state[1] && state[2] != 'R';
}

int monitor_start() { return kernel_thread_create(monitor_main, nullptr); }

void monitor_kick() {
  bell.fetch_add(1, std::memory_order_release);
  sys::futex_wake(&bell, 1);
}

void monitor_worker_woke() {
  if (asleep.load(std::memory_order_seq_cst) && asleep.exchange(0)) monitor_kick();
}

void runtime_main_exits() {
  main_tid = tls_block_tid_of(__builtin_thread_pointer());
  main_left.store(true, std::memory_order_release);
  monitor_kick();
}

void runtime_ends_with(uint64_t mask) { last_mask.store(mask, std::memory_order_relaxed); }

void runtime_check_main_exit() {
  if (main_left.load(std::memory_order_acquire)) monitor_kick();
}

void monitor_reset() {
  asleep.store(0);
  main_left.store(false);
  monitor_tid.store(0, std::memory_order_relaxed);
}

}  // namespace weft
