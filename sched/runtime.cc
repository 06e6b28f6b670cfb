// SPDX-License-Identifier: Apache-2.0
// Start of the runtime at the first thread, carriers as kernel threads, and fork.
#include "sched/runtime.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sched/alternate_stack.h"
#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/cpu_time_signals.h"
#include "sched/dump.h"
#include "sched/file_ring.h"
#include "sched/groups.h"
#include "sched/handler_entry.h"
#include "sched/executable_stacks.h"
#include "sched/idle_stacks.h"
#include "sched/inspected.h"
#include "sched/internal_signals.h"
#include "sched/log.h"
#include "sched/monitor.h"
#include "sched/options.h"
#include "sched/parking_lot.h"
#include "sched/poller.h"
#include "sched/signals.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/trace.h"

extern char** environ;
extern char* program_invocation_short_name;

namespace weft {

RealCalls real_calls;
std::atomic<uint32_t> runtime_active{0};
void regions_reset();
void mailboxes_reset();
void offload_reset();

namespace {

enum class Phase : int { none, running, native };
std::atomic<Phase> phase{Phase::none};
bool disabled;
Lock start_lock;
long process;  // that the runtime has been started in

constexpr size_t kCarrierStack = 256 << 10;

std::atomic<uint32_t> carriers{0};
unsigned workers_begun;
Carrier* retired_carriers;  // guarded by handoff_lock

// What the kernel threads of the start wait at.
enum class Gate : uint32_t { closed, open, given_up };
std::atomic<Gate> gate{Gate::closed};

void move_gate(Gate to) {
  gate.store(to, std::memory_order_release);
  sys::futex_wake(&gate, 1 << 30);
}

void* carrier_main(void* argument) {
  if (!runtime_gate()) return nullptr;
  thread_state.of_runtime = true;
  auto* carrier = (Carrier*)argument;
  carrier->tid = (int)sys::gettid();
  carrier->loop.fs = __builtin_thread_pointer();
  thread_state.carrier = carrier;
  sys::call(SYS_prctl, PR_SET_NAME, sys::word("weft-carrier"));
  void* alternate = sys::mmap(nullptr, kAlternateStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!sys::failed(alternate)) {
    set_alternate_stack(alternate_stack(alternate, kAlternateStack));
    carrier->alternate_stack = alternate;
  }
  carrier_loop(carrier);
  if (!sys::failed(alternate)) {
    set_alternate_stack(alternate_stack(nullptr, 0));
    sys::munmap(alternate, kAlternateStack);
  }
  carriers.fetch_sub(1);
  Locked locked(handoff_lock);
  carrier->next = retired_carriers;
  retired_carriers = carrier;
  return nullptr;
}

unsigned cpus_of_affinity() {
  uint64_t mask[16] = {};
  long bytes = sys::call(SYS_sched_getaffinity, 0, sizeof mask, sys::word(mask));
  unsigned cpus = 0;
  for (long i = 0; i < bytes / 8; i++) cpus += (unsigned)__builtin_popcountll(mask[i]);
  return cpus ? cpus : 1;
}

// Nothing of the runtime remains but memory.
bool go_native(const char* why) {
  move_gate(Gate::given_up);
  for (unsigned i = 0; i < workers_begun; i++)
    if (worker_at(i)->event_fd >= 0) poller_close(worker_at(i));
  tls_block_give_up();
  log(Level::warn, "threads stay native: %s", why);
  phase.store(Phase::native, std::memory_order_release);
  return false;
}

const char* why_no_epoll(int error) {
  switch (-error) {
    case EMFILE:
    case ENFILE:
      return "no descriptor is left for epoll; raise ulimit -n";
    case ENOMEM:
    case ENOSPC:
      return "there is no memory for epoll";
    default:
      return "the process may not use epoll";
  }
}

bool start_locked() {
  const char* why = real_calls.native_because ? real_calls.native_because() : nullptr;
  if (why) return go_native(why);
  if (getauxval(AT_PAGESZ) != 4096 /* as stacks and their guards are laid out */)
    return go_native("pages of this kernel are not of 4096 bytes");
  unsigned cpus = cpus_of_affinity();
  unsigned wanted = options.workers ? (unsigned)options.workers : cpus;
  may_spin = cpus > 1;
  if (wanted > kMaxWorkers) wanted = kMaxWorkers;
  switches_begin(!options.fsgsbase);
  stack_init();
  executable_stacks_init();
  if (!tls_block_init(&why)) return go_native(why);
  metrics_layout_known();
  tls_guard_internal_signals();
  have_membarrier = sys::call(SYS_membarrier, 1 << 4 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0) == 0;
  for (unsigned i = 0; i < wanted; i++) {
    workers_begun = i + 1;
    int error = poller_open(worker_begin(i));
    if (!error) continue;
    if (i == 0) return go_native(why_no_epoll(error));
    wanted = i;
  }
  unsigned made = 0;
  int error = monitor_start();
  while (!error && made < wanted && !(error = carrier_create())) made++;
  if (!made)
    return go_native(error == ENOMEM ? "there is no memory for its kernel threads"
                                     : "no kernel threads are left for it; raise ulimit -u");
  // A worker without a carrier would keep what is given to it waiting.
  for (unsigned i = made; i < wanted; i++) poller_close(worker_at(i));
  wanted = made;
  workers_set_count(wanted);
  if (chaos) carrier_create();  // to change carriers there has to be another one
  chaos_begin(wanted);
  for (unsigned i = 0; i < wanted; i++) add_orphan(worker_at(i));
  guard_report_init();
  dump_init();
  handler_entry_begin();
  process = sys::getpid();
  guest_signal_mask_changed();
  stats_signals_init();
  real_calls.stdio_weave();
  make_spare_descriptor();
  move_gate(Gate::open);
  phase.store(Phase::running, std::memory_order_release);
  runtime_active.store(1, std::memory_order_release);
  groups_begin();
  log(Level::info, "%u workers, guards by %s, %s", wanted, stack_guard_method(),
      have_membarrier ? "membarrier" : "no membarrier");
  return true;
}

bool excluded() {
  if (options.exclude && options.exclude[0] && matches_any(options.exclude, program_invocation_short_name)) return true;
  if (options.children) return false;
  const char* root = getenv("WEFT_ROOT");
  return root && atol(root) != sys::getpid();
}

}  // namespace

bool runtime_gate() {
  while (gate.load(std::memory_order_acquire) == Gate::closed) sys::futex_wait(&gate, (uint32_t)Gate::closed);
  return gate.load(std::memory_order_relaxed) == Gate::open;
}

unsigned carriers_alive() { return carriers.load(); }

int carrier_create() {
  if (options.max_carriers && carriers.load() >= options.max_carriers) {
    static bool said;
    log_once(&said, Level::warn,
             "the bound of %lu carriers is reached (WEFT_MAX_CARRIERS): coroutines that block in the kernel now delay "
             "all others",
             (unsigned long)options.max_carriers);
    return EAGAIN;
  }
  handoff_lock.lock();
  Carrier* carrier = retired_carriers;
  if (carrier) retired_carriers = carrier->next;
  handoff_lock.unlock();
  if (!carrier) {
    void* memory = sys::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (sys::failed(memory)) return ENOMEM;
    constexpr size_t each = 4096 / sizeof(Carrier);
    Locked locked(handoff_lock);
    for (size_t i = 1; i < each; i++) {
      ((Carrier*)memory)[i].next = retired_carriers;
      retired_carriers = &((Carrier*)memory)[i];
    }
    carrier = (Carrier*)memory;
  }
  memset((void*)carrier, 0, sizeof *carrier);
  carrier->taken.store(1);
  carriers.fetch_add(1);
  int error = kernel_thread_create(carrier_main, carrier);
  if (error) {
    carriers.fetch_sub(1);
    Locked locked(handoff_lock);
    carrier->next = retired_carriers;
    retired_carriers = carrier;
    return error;
  }
  count(Metric::carriers_created);
  return 0;
}

int kernel_thread_create(void* (*start)(void*), void* argument, unsigned long* to_join) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (!to_join) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kCarrierStack + tls_block_size());
  uint64_t mask = carrier_signal_mask() | cpu_time_signals_open(), before;
  sys::sigprocmask(2 /* SIG_SETMASK */, &mask, &before);
  unsigned long thread;
  int error = real_calls.pthread_create(&thread, &attributes, start, argument);
  sys::sigprocmask(2, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (to_join) *to_join = thread;
  return error;
}

void runtime_prepare() {
  clock_init();
  log_begin();
  options_read(environ);
  log_init();
  chaos_init();
  disabled = options.disable || excluded();
  if (!disabled) dump_signal_init();
}

bool runtime_disabled() { return disabled || phase.load(std::memory_order_acquire) == Phase::native; }
bool runtime_on_main() { return sys::gettid() == process; }
bool runtime_started() { return phase.load(std::memory_order_acquire) == Phase::running; }

bool runtime_start() {
  Phase now = phase.load(std::memory_order_acquire);
  if (now == Phase::running) return true;
  if (disabled || now == Phase::native) return false;
  Locked locked(start_lock);
  now = phase.load(std::memory_order_acquire);
  if (now != Phase::none) return now == Phase::running;
  return start_locked();
}

bool runtime_before_fork() {
  if (phase.load(std::memory_order_acquire) == Phase::none && !stats_wanted()) return false;
  modules_before_fork();
  return true;
}

void runtime_after_fork_parent() { modules_after_fork(); }

void runtime_after_fork_child() {
  Phase before = phase.load(std::memory_order_relaxed);
  if (const Coroutine* forking = thread_state.identity) sys::call(SYS_prctl, PR_SET_NAME, sys::word(forking->name));
  thread_state.woven = nullptr;
  thread_state.identity = nullptr;
  thread_state.carrier = nullptr;
  thread_state.lot_depth = 0;
  thread_state.resolver_depth = 0;
  start_lock.reset();
  if (thread_state.descriptors_apart) log_file_left();
  metrics_reset();
  tls_block_reset();
  mailboxes_reset();
  offload_reset();
  if (before != Phase::running) return;
  phase.store(Phase::none, std::memory_order_relaxed);
  runtime_active.store(0, std::memory_order_relaxed);
  gate.store(Gate::closed, std::memory_order_relaxed);
  poller_reset();
  workers_reset();
  coroutines_reset();
  stack_reset();
  parking_lot_reset();
  regions_reset();
  signals_reset();
  monitor_reset();
  file_ring_reset();
  idle_stacks_reset();
  trace_reset();
  dump_reset();
  chaos_reset();
  carriers.store(0);
  retired_carriers = nullptr;
  thread_state.descriptors_apart = false;
  disabled = disabled || excluded();
}

}  // namespace weft
