// SPDX-License-Identifier: Apache-2.0
// The entry in front of handlers of the program's, and the program's actions that it hides.
#include "sched/handler_entry.h"

#include <atomic>
#include <cstring>
#include <ucontext.h>

#include "sched/alternate_stack.h"
#include "sched/coroutine.h"
#include "sched/dump.h"
#include "sched/cpu_time_signals.h"
#include "sched/executable_stacks.h"
#include "sched/internal_signals.h"
#include "sched/runtime.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

namespace {

// What the program has installed where the entry stands. The entry may run while another thread changes it: each field is whole.
struct Entered {
  std::atomic<void*> handler;
  std::atomic<int> flags;
  std::atomic<uint64_t> mask;
};

constinit Entered entered[32] = {};  // by signal
constinit std::atomic<bool> begun{false};
constinit std::atomic<bool> alternate_stacks_used{false};

bool is_covered(int signal) {
  return signal > 0 && signal < 32 && ((synchronous_signals() & signal_bit(signal)) || is_cpu_time_signal(signal));
}

void entry(int signal, siginfo_t* info, void* context);

bool is_entry(const struct sigaction& action) { return action.sa_sigaction == entry; }

bool is_handler(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

// The kernel knows the first 64 bits alone.
uint64_t bits_of(const sigset_t& set) {
  uint64_t bits;
  memcpy(&bits, &set, sizeof bits);
  return bits;
}

void note_use(const struct sigaction& action) {
  if (is_handler(action) && (action.sa_flags & SA_ONSTACK)) alternate_stacks_used = true;
}

constexpr int kKept = (int)SA_RESETHAND | SA_SIGINFO;  // flags of the program's that the kernel's action does not show

// As the program has set it, of what the kernel has.
struct sigaction seen_by_program(int signal, struct sigaction action) {
  if (!is_entry(action)) return action;
  Entered& own = entered[signal];
  action.sa_flags = (action.sa_flags & ~kKept) | (own.flags.load(std::memory_order_relaxed) & kKept);
  action.sa_sigaction = (decltype(action.sa_sigaction))own.handler.load(std::memory_order_relaxed);
  return action;
}

struct sigaction through_entry(int signal, struct sigaction action) {
  Entered& own = entered[signal];
  own.mask.store(bits_of(action.sa_mask), std::memory_order_relaxed);
  own.flags.store(action.sa_flags, std::memory_order_relaxed);
  own.handler.store((void*)action.sa_sigaction, std::memory_order_release);
  if (is_cpu_time_signal(signal)) cpu_time_signal_handled(signal);
  action.sa_sigaction = entry;
  action.sa_flags = (action.sa_flags & ~kKept) | SA_SIGINFO;
  return action;
}

void call_handler(int signal, siginfo_t* info, void* context) {
  Entered& own = entered[signal];
  auto handler = (void (*)(int, siginfo_t*, void*))own.handler.load(std::memory_order_acquire);
  if (own.flags.load(std::memory_order_relaxed) & (int)SA_RESETHAND) default_action(signal);
  handler(signal, info, context);
}

// Sent once more, to this kernel thread, it strikes when the entry has returned.
bool send_again(int signal, const siginfo_t* info) {
  uint64_t bit = signal_bit(signal);
  sys::sigprocmask(SIG_BLOCK, &bit, nullptr);
  return sys::call(SYS_rt_tgsigqueueinfo, sys::getpid(), sys::gettid(), signal, sys::word(info)) == 0;
}

bool same_stack(const stack_t& one, const stack_t& other) {
  if ((one.ss_flags | other.ss_flags) & SS_DISABLE) return one.ss_flags & other.ss_flags & SS_DISABLE;
  return one.ss_sp == other.ss_sp && one.ss_size == other.ss_size;
}

// Does it strike a carrier where the handler cannot run? Then somebody else takes it, or this one later.
bool is_put_off(int signal, void* context) {
  if (!is_cpu_time_signal(signal) || thread_state.vfork_child) return false;
  Coroutine* self = thread_state.identity;
  if (!self) {
    if (thread_state.carrier) cpu_time_signal_strikes_loop(thread_state.carrier, signal, context);
    return thread_state.carrier;
  }
  if (self->signal_tid) return false;
  if (self->signal_mask & signal_bit(signal))
    cpu_time_signal_passes_by(signal, context);
  else if (thread_state.woven != self || inside_weft(context))
    cpu_time_signal_waits(self, signal);
  else
    return false;
  return true;
}

void entry(int signal, siginfo_t* info, void* context) {
  if (executable_stack_fault(signal, info, context) || is_put_off(signal, context)) return;
  Coroutine* self = thread_state.identity;
  if (!self || self->pinned || thread_state.vfork_child) {
    call_handler(signal, info, context);
    return;
  }
  auto* frame = (ucontext_t*)context;
  stack_t kernels = frame->uc_stack;
  if (self->window) {
    frame->uc_stack = alternate_stack_seen_by_program(self);
    call_handler(signal, info, context);
    frame->uc_stack = kernels;
    return;
  }
  if (info->si_code > 0 && (self->signal_mask & signal_bit(signal) & synchronous_signals())) {
    // The kernel lets nobody hold back what an instruction raises.
    default_action(signal);
    send_again(signal, info);
    return;
  }
  int flags = entered[signal].flags.load(std::memory_order_relaxed);
  bool moved = false;
  if (flags & SA_ONSTACK) {
    stack_t programs = alternate_stack_of_program(self);
    moved = same_stack(frame->uc_stack, programs);
    if (!moved && send_again(signal, info)) {
      if (!self->alternate_size && report_overflow(self, info, context))
        dump_now();  // the kernel ends a thread without a stack
      frame->uc_stack = programs;
      return;
    }
  }
  frame->uc_stack = alternate_stack_seen_by_program(self);
  // The kernel's frame has the 64 bits that it knows, and no more.
  auto* mask = (uint64_t*)&frame->uc_sigmask;
  uint64_t mask_of_carrier = *mask;
  if (thread_state.woven == self && !inside_weft(context)) {
    uint64_t blocked = entered[signal].mask.load(std::memory_order_relaxed);
    if (!(flags & SA_NODEFER)) blocked |= signal_bit(signal);
    *mask = self->signal_mask;
    SignalWindow window;
    signal_window_open_in_handler(&window, self, blocked, moved);
    call_handler(signal, info, context);
    signal_window_close(&window);
    signal_handler_returns(self, *mask);
  } else {
    self->in_fault_handler = true;
    call_handler(signal, info, context);
    self->in_fault_handler = false;
  }
  *mask = mask_of_carrier;
  frame->uc_stack = moved ? alternate_stack_of_carrier(self) : kernels;
}

}  // namespace

void handler_entry_begin() {
  begun.store(true, std::memory_order_release);
  for (int signal = 1; signal < 32; signal++) handler_entry_recheck(signal);
}

int program_sigaction(int signal, const struct sigaction* wanted, struct sigaction* old) {
  if (wanted) note_use(*wanted);
  if (!is_covered(signal)) return real_calls.sigaction(signal, wanted, old);
  struct sigaction before = {}, action = {};
  bool entered_now =
      wanted && is_handler(*wanted) && !thread_state.vfork_child && begun.load(std::memory_order_acquire);
  // Before through_entry() overwrites what it shows.
  if (old) {
    if (real_calls.sigaction(signal, nullptr, &before)) return -1;
    before = seen_by_program(signal, before);
  }
  if (entered_now) action = through_entry(signal, *wanted);
  if (wanted && real_calls.sigaction(signal, entered_now ? &action : wanted, nullptr)) return -1;
  if (old) *old = before;
  return 0;
}

sighandler_t handler_of_program(int signal, sighandler_t handler) {
  return (void*)handler == (void*)entry ? (sighandler_t)entered[signal].handler.load(std::memory_order_relaxed)
                                        : handler;
}

void handler_entry_recheck(int signal) {
  struct sigaction action;
  if (!is_covered(signal) || !begun.load(std::memory_order_acquire) || thread_state.vfork_child) return;
  if (own_handler_stands(signal) || real_calls.sigaction(signal, nullptr, &action)) return;
  if (!is_handler(action) || is_entry(action)) return;
  note_use(action);
  action = through_entry(signal, action);
  real_calls.sigaction(signal, &action, nullptr);
}

bool handlers_use_alternate_stacks() { return alternate_stacks_used.load(std::memory_order_relaxed); }

void handler_entry_left(Coroutine* self) {
  if (!self->in_fault_handler) return;
  self->in_fault_handler = false;
  uint64_t mask = carrier_signal_mask(), before = mask;
  sys::sigprocmask(SIG_SETMASK, &mask, &before);
  set_alternate_stack(alternate_stack_of_carrier(self));
  if (before & ~mask) set_signal_mask(self, self->signal_mask | (before & ~mask));
}

}  // namespace weft
