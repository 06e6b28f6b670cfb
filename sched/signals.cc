// SPDX-License-Identifier: Apache-2.0
// The queue of signals of each coroutine, the windows in which they are delivered, and the kick.
//
// signal_lock is taken with all signals blocked (by a guest, or inside a window) or on a carrier, and no libc function
// is called under it, so no handler of the program's ever runs above it and finds it held by its own thread.
#include "sched/signals.h"

#include <cerrno>
#include <pthread.h>
#include <sys/mman.h>

#include "asm/signal_frame.h"
#include "sched/alternate_stack.h"
#include "sched/cpu_time_signals.h"
#include "sched/handler_entry.h"
#include "sched/internal_signals.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/thread_timers.h"
#include "sched/worker.h"

// The library in memory, by the linker's own names.
extern "C" {
[[gnu::visibility("hidden")]] extern const char __ehdr_start[];
[[gnu::visibility("hidden")]] extern const char _etext[];
}

namespace weft {

namespace {

constexpr uint64_t kEverything = ~uint64_t{0};
constexpr uint64_t kGlibcOwn = signal_bit(kCancelSignal) | signal_bit(kSetxidSignal);
constexpr uint64_t kNeverBlocked = kGlibcOwn | signal_bit(SIGKILL) | signal_bit(SIGSTOP);
constexpr uint64_t kSynchronous = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGFPE) | signal_bit(SIGILL) |
                                  signal_bit(SIGTRAP) | signal_bit(SIGSYS) | signal_bit(SIGABRT);
constexpr int kFirstQueued = 32;  // from here on each one sent is kept, as the kernel does

struct Queued {
  Queued* next;
  siginfo_t info;
};

constexpr uint64_t kChunk = 64 << 10;
constexpr uint32_t kMaxQueued = 65536;  // as a generous RLIMIT_SIGPENDING
Lock queued_lock;                       // guards the two below
Queued* free_queued;
uint32_t queued_count;

Queued* obtain() {
  Locked hold(queued_lock);
  if (!free_queued && queued_count < kMaxQueued) {
    void* memory = sys::mmap(nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (sys::failed(memory)) return nullptr;
    for (Queued* at = (Queued*)memory; (char*)(at + 1) <= (char*)memory + kChunk; at++) {
      at->next = free_queued;
      free_queued = at;
      queued_count++;
    }
  }
  Queued* queued = free_queued;
  if (queued) free_queued = queued->next;
  return queued;
}

void give_back(Queued* queued) {
  Locked hold(queued_lock);
  queued->next = free_queued;
  free_queued = queued;
}

uint64_t mask_of(const Coroutine* coroutine) { return __atomic_load_n(&coroutine->signal_mask, __ATOMIC_RELAXED); }

// To a kernel thread of this process. The kernel takes what claims to be its own or another process's only from the
// thread itself.
long send_to_kernel(int tid, int signal, const siginfo_t& info) {
  if (info.si_code != SI_TKILL && (info.si_code < 0 || tid == sys::gettid()))
    return sys::call(SYS_rt_tgsigqueueinfo, sys::getpid(), tid, signal, sys::word(&info));
  return sys::call(SYS_tgkill, sys::getpid(), tid, signal);
}

// An expiration of a timer whose last signal has not been taken yet.
bool adds_to_overrun_locked(Coroutine* target, const siginfo_t& info) {
  for (auto* at = (Queued*)target->signal_info; at; at = at->next) {
    if (at->info.si_code != SI_TIMER || at->info.si_timerid != info.si_timerid) continue;
    at->info.si_overrun += 1 + info.si_overrun;
    return true;
  }
  return false;
}

bool queue_locked(Coroutine* target, int signal, const siginfo_t& info) {
  uint64_t bit = signal_bit(signal);
  if (signal < kFirstQueued && (target->signals_pending.load(std::memory_order_relaxed) & bit)) return true;
  if (info.si_code == SI_TIMER && adds_to_overrun_locked(target, info)) return true;
  Queued* queued = obtain();
  if (!queued) {
    // The kernel sends a plain signal all the same, and loses what it would say of it.
    if (signal >= kFirstQueued) return false;
    target->signals_pending.fetch_or(bit);
    return true;
  }
  queued->info = info;
  queued->next = (Queued*)target->signal_info;
  target->signal_info = queued;
  target->signals_pending.fetch_or(bit);
  return true;
}

// Takes the oldest queued signal of `set`, the lowest number first. False: there is none.
bool unqueue_locked(Coroutine* self, uint64_t set, siginfo_t* info) {
  uint64_t pending = self->signals_pending.load(std::memory_order_relaxed) & set;
  if (!pending) return false;
  int signal = __builtin_ctzll(pending) + 1;
  Queued** found = nullptr;
  bool more = false;
  for (Queued** at = (Queued**)&self->signal_info; *at; at = &(*at)->next) {
    if ((*at)->info.si_signo != signal) continue;
    more = found != nullptr;
    found = at;
  }
  if (!more) self->signals_pending.fetch_and(~signal_bit(signal));
  if (!found) {
    *info = {};
    info->si_signo = signal;
    if (is_cpu_time_signal(signal)) info->si_code = SI_KERNEL;  // kept by its entry, which cannot queue
    return true;
  }
  Queued* oldest = *found;
  *found = oldest->next;
  *info = oldest->info;
  give_back(oldest);
  if (info->si_code == SI_TIMER) thread_timer_delivered(*info);
  return true;
}

// What is queued goes to the kernel thread, which has it blocked still.
void hand_over_locked(Coroutine* self, int tid) {
  siginfo_t info;
  while (unqueue_locked(self, kEverything, &info)) {
    int signal = info.si_signo;
    if (send_to_kernel(tid, signal, info) == -EAGAIN) sys::call(SYS_tgkill, sys::getpid(), tid, signal);
    self->signals_handed |= signal_bit(signal);
  }
}

// Signals sent to the coroutine go to its kernel thread from here on, and those that were queued.
void become_recipient(Coroutine* self) {
  int tid = self->carrier->tid;
  // A carrier has SIGSEGV and its like open: a queued one would strike under the lock.
  if (self->signals_pending.load(std::memory_order_relaxed) || cpu_time_signals_open())
    sys::sigprocmask(SIG_SETMASK, &kEverything, nullptr);
  Locked hold(self->signal_lock);
  hand_over_locked(self, tid);
  self->signal_tid = tid;
}

// The mask is the caller's to set, last: handlers run there.
void window_begins(Coroutine* self, SignalWindow* window) {
  self->window = window;
  thread_state.woven = nullptr;
  become_recipient(self);
}

// What was handed over and is still blocked comes back, because the kernel thread goes on to run others.
void take_back_locked(Coroutine* self) {
  uint64_t pending = 0;
  if (self->signals_handed) sys::call(SYS_rt_sigpending, sys::word(&pending), 8);
  pending &= self->signals_handed;
  self->signals_handed = 0;
  while (pending) {
    siginfo_t info;
    timespec at_once = {};
    if (sys::call(SYS_rt_sigtimedwait, sys::word(&pending), sys::word(&info), sys::word(&at_once), 8) <= 0) return;
    queue_locked(self, info.si_signo, info);
  }
}

// A signal nobody handles that ends or stops the process: by the kernel, from here, at once, as it would natively.
void take_default_action(int signal) {
  uint64_t bit = signal_bit(signal), before;
  sys::sigprocmask(SIG_BLOCK, &bit, &before);
  sys::call(SYS_tgkill, sys::getpid(), sys::gettid(), signal);
  sys::sigprocmask(SIG_UNBLOCK, &bit, nullptr);
  sys::sigprocmask(SIG_SETMASK, &before, nullptr);
}

bool cancels_asynchronously(const Coroutine* self) { return cancel_wanted_at_once(self) && !self->region_depth; }

}  // namespace

bool inside_weft(const void* context) {
  const char* pc = (const char*)interrupted_pc(context);
  if (pc >= __ehdr_start && pc < _etext) return true;
  return thread_state.lot_depth || thread_state.identity->carrier->inside.load(std::memory_order_relaxed);
}

void signal_kick(Coroutine* target) {
  State state = target->state.load(std::memory_order_relaxed);
  if (state != State::running && state != State::blocked) return;
  Carrier* carrier = __atomic_load_n(&target->carrier, __ATOMIC_ACQUIRE);
  if (carrier && carrier->tid) kick_carrier(carrier->tid);
}

uint64_t synchronous_signals() { return kSynchronous; }

uint64_t carrier_signal_mask() { return ~(kSynchronous | kGlibcOwn | cpu_time_signals_open()); }

siginfo_t signal_info_of_sender(int signal, int code) {
  siginfo_t info = {};
  info.si_signo = signal;
  info.si_code = code;
  info.si_pid = (pid_t)sys::getpid();
  info.si_uid = (uid_t)sys::call(SYS_getuid);
  return info;
}

Disposition disposition_of(int signal) {
  if (own_handler_stands(signal)) return Disposition::fatal;
  KernelAction action = kernel_action(signal);
  if (action.handler == (void*)SIG_IGN) return Disposition::ignored;
  if (action.handler != (void*)SIG_DFL)
    return action.flags & SA_RESTART ? Disposition::handled_restarting : Disposition::handled;
  bool dropped = signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
  return dropped ? Disposition::ignored : Disposition::fatal;
}

int signal_post(Coroutine* target, int signal, const siginfo_t& info) {
  if (signal == SIGKILL || signal == SIGSTOP) {
    sys::call(SYS_tgkill, sys::getpid(), sys::gettid(), signal);
    return 0;
  }
  bool blocked = mask_of(target) & signal_bit(signal);
  Disposition disposition = disposition_of(signal);
  int error = 0;
  bool ends_process = false;
  {
    HandlersWait wait;
    Locked hold(target->signal_lock);
    if (target->signal_tid) {
      target->signals_handed |= signal_bit(signal);
      error = (int)-send_to_kernel(target->signal_tid, signal, info);
      return error == ESRCH ? 0 : error;
    }
    if (!blocked && disposition == Disposition::ignored) return 0;
    ends_process = !blocked && disposition == Disposition::fatal;
    if (!ends_process && !queue_locked(target, signal, info)) error = EAGAIN;
  }
  if (ends_process)
    take_default_action(signal);
  else if (!error && !blocked && target != woven() && !interrupt(&target->waiter))
    signal_kick(target);
  return error;
}

void signal_drop_timer(Coroutine* target, int timer) {
  HandlersWait wait;
  Locked hold(target->signal_lock);
  uint64_t dropped = 0, left = 0;
  for (auto** at = (Queued**)&target->signal_info; *at;) {
    Queued* queued = *at;
    if (queued->info.si_code == SI_TIMER && queued->info.si_timerid == timer) {
      dropped |= signal_bit(queued->info.si_signo);
      *at = queued->next;
      give_back(queued);
    } else {
      left |= signal_bit(queued->info.si_signo);
      at = &queued->next;
    }
  }
  target->signals_pending.fetch_and(~dropped | left);
}

int signal_take(Coroutine* self, uint64_t set, siginfo_t* info) {
  HandlersWait wait;
  Locked hold(self->signal_lock);
  return unqueue_locked(self, set, info) ? info->si_signo : 0;
}

void signal_window_open(SignalWindow* window, Coroutine* self, bool in_region) {
  *window = {self, in_region, handlers_use_alternate_stacks()};
  window_begins(self, window);
  if (window->alternate) set_alternate_stack(alternate_stack_of_program(self));
  sys::sigprocmask(SIG_SETMASK, &self->signal_mask, nullptr);
}

void signal_window_open_in_handler(SignalWindow* window, Coroutine* self, uint64_t blocked, bool moved) {
  uint64_t mask = self->signal_mask | blocked;
  *window = {self, self->region_depth != 0, moved || handlers_use_alternate_stacks()};
  window_begins(self, window);
  if (window->alternate && !moved) set_alternate_stack(alternate_stack_of_program(self));
  sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
}

void signal_handler_returns(Coroutine* self, uint64_t mask) {
  mask &= ~kNeverBlocked;
  if (mask != self->signal_mask) {
    __atomic_store_n(&self->signal_mask, mask, __ATOMIC_SEQ_CST);
    signal_mask_in_use(mask);
  }
  if (!signals_wanted(self)) return;
  uint64_t kick = signal_bit(kCancelSignal);  // open again when the handler has returned
  sys::sigprocmask(SIG_BLOCK, &kick, nullptr);
  signal_kick(self);
}

void signal_window_close(SignalWindow* window) {
  Coroutine* self = window->self;
  uint64_t cpu_time = cpu_time_signals_open();  // until this is a carrier again
  uint64_t mask = carrier_signal_mask() | cpu_time;
  sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (window->alternate) set_alternate_stack(alternate_stack_of_carrier(self));
  {
    Locked hold(self->signal_lock);
    self->signal_tid = 0;
    take_back_locked(self);
  }
  self->window = nullptr;
  thread_state.woven = self;
  if (cpu_time) sys::sigprocmask(SIG_UNBLOCK, &cpu_time, nullptr);
}

void signal_window_alternate(Coroutine* self) {
  self->window->alternate = true;
  set_alternate_stack(alternate_stack_of_program(self));
}

void signal_window_forget() {
  Coroutine* self = thread_state.identity;
  if (self) self->window = nullptr;
}

namespace {

// Going on where the stack pointer is `target`.
bool leaves_window(const Coroutine* self, const char* target) {
  auto on_own_stack = [self](const char* at) {
    return at >= self->stack_low && at < self->stack_low + self->stack_size && !on_alternate_stack(self, at);
  };
  const char* window = (const char*)self->window;
  // A window on an alternate stack is above everything on the coroutine's own.
  if (on_own_stack(target)) return !on_own_stack(window) || target > window;
  if (on_alternate_stack(self, target)) return false;
  // A stack of the program's making (makecontext): from the frames of the handler to anywhere but these.
  constexpr ptrdiff_t kMostOfHandler = 1 << 20;
  const char* here = (const char*)__builtin_frame_address(0);
  return here < window && window - here < kMostOfHandler && (target < here || target > window);
}

}  // namespace

void signal_window_leave(const void* sp, bool restores_mask) {
  Coroutine* self = thread_state.identity;
  if (!self || !self->window) return;
  SignalWindow* window = self->window;
  if (sp && !leaves_window(self, (const char*)sp)) return;
  if (!restores_mask) {
    uint64_t mask = 0;
    sys::sigprocmask(SIG_SETMASK, nullptr, &mask);
    self->signal_mask = mask & ~kNeverBlocked;
  }
  // At the end of the thread its frame has gone; see regions_abandon.
  SignalWindow left = {self, sp && window->in_region, sp ? window->alternate : handlers_use_alternate_stacks()};
  bool in_region = left.in_region;
  signal_window_close(&left);
  if (in_region) region_leave();
}

void deliver_signals_now() {
  Coroutine* self = woven();
  if (!self || !(self->signals_pending.load(std::memory_order_relaxed) & ~self->signal_mask)) return;
  uint64_t pending = self->signals_pending.load(std::memory_order_acquire) & ~self->signal_mask;
  for (; pending; pending &= pending - 1) {
    Disposition disposition = disposition_of(__builtin_ctzll(pending) + 1);
    if (disposition == Disposition::handled) self->handlers_ran |= kHandlerRan;
    if (disposition == Disposition::handled_restarting) self->handlers_ran |= kRestartingHandlerRan;
  }
  SignalWindow window;
  signal_window_open(&window, self, false);
  signal_window_close(&window);
}

void deliver_in_interrupted_code(void* context) {
  Coroutine* self = thread_state.identity;
  if (self && !self->signal_tid && !thread_state.vfork_child) cpu_time_signals_open_in(self->carrier, context);
  if (!self || self != thread_state.woven || inside_weft(context)) return;
  if (cancels_asynchronously(self)) {
    uint64_t mask = carrier_signal_mask();  // the handler is not returned from
    sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
    real_calls.cancel_now();
  }
  deliver_signals_now();
}

void signals_pin(Coroutine* self) {
  become_recipient(self);
  set_alternate_stack(alternate_stack_seen_by_program(self));  // its calls are the kernel's from here on
  sys::sigprocmask(SIG_SETMASK, &self->signal_mask, nullptr);
}

void signals_leave(Coroutine* self) {
  self->ending.fetch_or(Coroutine::kDeaf, std::memory_order_relaxed);
  relay_settle(self);
  while (signals_wanted(self)) deliver_signals_now();
}

void signals_end(Coroutine* self) {
  Locked hold(self->signal_lock);
  while (Queued* queued = (Queued*)self->signal_info) {
    self->signal_info = queued->next;
    give_back(queued);
  }
  self->signals_pending.store(0, std::memory_order_relaxed);
  self->signals_handed = 0;
  self->signal_tid = 0;
  self->alternate_size = 0;
}

void set_signal_mask(Coroutine* self, uint64_t mask) {
  mask &= ~kNeverBlocked;
  // Sequentially consistent with the relay, which takes a signal out of its set and then looks for who has it
  // unblocked.
  __atomic_store_n(&self->signal_mask, mask, __ATOMIC_SEQ_CST);
  signal_mask_in_use(mask);
  deliver_signals_now();
}

void signals_rescue() {
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker* worker = worker_at(i);
    Carrier* carrier = __atomic_load_n(&worker->carrier, __ATOMIC_ACQUIRE);
    Coroutine* running = carrier ? __atomic_load_n(&carrier->running, __ATOMIC_RELAXED) : nullptr;
    if (running && (signals_wanted(running) || cancels_asynchronously(running))) kick_carrier(carrier->tid);
  }
}

void signal_relay_reset();

void signals_reset() {
  queued_lock.reset();
  free_queued = nullptr;
  queued_count = 0;
  signal_relay_reset();
}

}  // namespace weft
