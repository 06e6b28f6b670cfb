// SPDX-License-Identifier: Apache-2.0
// Handlers of weft's own where the program has the default action: SIGSEGV, to name the coroutine whose stack was too
// small; the signals that end a process, to write the counters of WEFT_STATS before it dies; that of WEFT_DUMP_SIGNAL.
//
// Each but the last does its work, puts the default action back and lets the same signal strike again, so the process dies of what
// it would have died of. The program sees SIG_DFL: the hook of sigaction asks here first. What it installs itself
// replaces ours.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "asm/signal_frame.h"
#include "sched/coroutine.h"
#include "sched/dump.h"
#include "sched/executable_stacks.h"
#include "sched/handler_entry.h"
#include "sched/internal_signals.h"
#include "sched/log.h"
#include "sched/metrics.h"
#include "sched/options.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

namespace {

struct OwnHandler {
  int signal;
  void (*handler)(int, siginfo_t*, void*);
  std::atomic<bool> wanted;
  std::atomic<bool> installed;
  struct sigaction seen;  // the program's, while ours is installed
};

void on_fault(int signal, siginfo_t* info, void* context);
void on_end(int signal, siginfo_t* info, void* context);
void on_dump(int signal, siginfo_t* info, void* context);

constinit OwnHandler own_handlers[] = {
    {SIGSEGV, on_fault, false, false, {}}, {SIGTERM, on_end, false, false, {}}, {SIGINT, on_end, false, false, {}},
    {SIGHUP, on_end, false, false, {}},    {0, on_dump, false, false, {}},  // the number is an option
};
constinit OwnHandler& dump_handler = own_handlers[4];

// The signal is blocked while its handler runs, so this one strikes when the handler returns.
void strike_again(int signal) { sys::call(SYS_tgkill, sys::getpid(), sys::gettid(), signal); }

void on_fault(int signal, siginfo_t* info, void* context) {
  if (executable_stack_fault(signal, info, context)) return;
  if (const Coroutine* self = thread_state.identity)
    if (report_overflow(self, info, context)) dump_now();
  default_action(signal);
  // A fault of an instruction strikes again by itself, with the registers of the first time in the core file.
  if (info->si_code <= 0) strike_again(signal);
}

void on_end(int signal, siginfo_t* info, void* context) {
  if (!thread_state.vfork_child) write_stats();
  default_action(signal);
  strike_again(signal);
}

void on_dump(int, siginfo_t*, void*) {
  if (!thread_state.vfork_child) dump_request();
}

OwnHandler* find(int signal) {
  for (OwnHandler& own : own_handlers)
    if (own.signal == signal) return &own;
  return nullptr;
}

bool is_default(const struct sigaction& action) {
  return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

void install(OwnHandler* own) {
  struct sigaction action = {};
  action.sa_sigaction = own->handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (own == &dump_handler ? SA_RESTART : 0);
  real_calls.sigaction(own->signal, &action, nullptr);
  own->installed.store(true, std::memory_order_relaxed);
}

void want(int signal) {
  OwnHandler* own = find(signal);
  own->wanted.store(true, std::memory_order_relaxed);
  program_sigaction(signal, nullptr, &own->seen);
  if (!own->installed.load(std::memory_order_relaxed) && is_default(own->seen)) install(own);
}

}  // namespace

void default_action(int signal) {
  KernelAction none = {};
  sys::call(SYS_rt_sigaction, signal, sys::word(&none), 0, 8);
}

bool report_overflow(const Coroutine* self, const siginfo_t* info, const void* context) {
  const char* address = (const char*)info->si_addr;
  if (info->si_signo != SIGSEGV || info->si_code <= 0 || self->supplied_stack || address >= self->stack_low ||
      address < self->stack_low - self->guard_size)
    return false;
  log(Level::error,
      "stack overflow in coroutine %u (%s): its stack of %lu KiB was too small; pc 0x%lx sp 0x%lx. Set WEFT_STACK or "
      "pthread_attr_setstacksize to more",
      self->id, self->name, (unsigned long)(self->stack_size >> 10), (unsigned long)interrupted_pc(context),
      (unsigned long)interrupted_sp(context));
  return true;
}

void guard_report_init() { want(SIGSEGV); }

namespace {

// As kill(1) takes it: a number, or a name with or without SIG. 0: neither.
int signal_named(const char* text) {
  char* end;
  long number = strtol(text, &end, 10);
  if (!*end) return number > 0 && number < NSIG ? (int)number : 0;
  if (strncmp(text, "SIG", 3) == 0) text += 3;
  for (int signal = 1; signal < NSIG; signal++) {
    const char* name = sigabbrev_np(signal);
    if (name && strcmp(name, text) == 0) return signal;
  }
  return 0;
}

// Those that no handler can be had for, glibc's own, weft's own, and those of a fault: a handler that returns from one meets it again.
bool can_dump(int signal) {
  for (int other : {0, SIGKILL, SIGSTOP, kCancelSignal, kSetxidSignal, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSYS})
    if (signal == other) return false;
  return !find(signal);
}

}  // namespace

void dump_signal_init() {
  if (!options.dump_signal || !*options.dump_signal) return;
  int signal = signal_named(options.dump_signal);
  if (!can_dump(signal)) {
    log(Level::error, "WEFT_DUMP_SIGNAL: '%s' is not a signal that can be had for it; no signal dumps the stacks",
        options.dump_signal);
    return;
  }
  dump_handler.signal = signal;
  want(signal);
  if (!dump_handler.installed.load(std::memory_order_relaxed))
    log(Level::warn, "%s is handled or ignored by the program and dumps no stacks then", options.dump_signal);
}

void stats_signals_init() {
  if (!stats_wanted()) return;
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) want(signal);
}

bool own_handler_stands(int signal) {
  const OwnHandler* own = find(signal);
  return own && own->installed.load(std::memory_order_relaxed);
}

bool own_handler_sigaction(int signal, const struct sigaction* wanted, struct sigaction* old, int* result) {
  OwnHandler* own = find(signal);
  if (!own || !own->wanted.load(std::memory_order_relaxed)) return false;
  bool ours = own->installed.load(std::memory_order_relaxed);
  if (!ours && (!wanted || !is_default(*wanted))) return false;
  struct sigaction before = own->seen;
  *result = 0;
  if (wanted && is_default(*wanted)) {
    own->seen = *wanted;
    if (!ours) {
      *result = program_sigaction(signal, nullptr, &before);
      install(own);
    }
  } else if (wanted) {
    *result = program_sigaction(signal, wanted, nullptr);
    if (*result == 0) own->installed.store(false, std::memory_order_relaxed);
  }
  if (old) *old = before;
  return true;
}

}  // namespace weft
