// SPDX-License-Identifier: Apache-2.0
// The relay: a kernel thread that takes process-directed signals which main blocks and hands each to a coroutine that
// does not.
//
// The kernel would deliver such a signal to any thread that has it unblocked; carriers block everything, so it stays
// pending for the process. The relay waits on a signalfd, whose set can be changed under the waiter, and takes the
// signal itself with sigtimedwait, because that gives the whole siginfo and only once somebody is there to have it.
//
// relayed_signals may hold a signal that nobody has unblocked any more: masks that close are not counted. When it
// comes, the relay takes it out of the set, looks once more, and leaves it pending. A coroutine that opens its mask
// stores the mask and then looks at the set; the relay changes the set and then looks at the masks; so one sees the
// other.
#include <atomic>
#include <csignal>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "sched/carrier.h"
#include "sched/coroutine.h"
#include "sched/internal_signals.h"
#include "sched/log.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/thread_timers.h"

namespace weft {

constinit std::atomic<uint64_t> main_signal_mask{0};
constinit std::atomic<uint64_t> relayed_signals{0};

namespace {

constinit Lock relay_lock;  // guards the signalfd and its set
constinit int relay_fd = -1;
constinit std::atomic<int> tid{0};  // of the relay, once it runs

uint64_t awaited() { return relayed_signals.load() | signal_bit(kTimerSignal); }

void update_set_locked() {
  uint64_t set = awaited();
  if (relay_fd >= 0) sys::call(SYS_signalfd4, relay_fd, sys::word(&set), 8, 0);
}

void withdraw_locked(uint64_t bit) {
  relayed_signals.fetch_and(~bit);
  update_set_locked();
}
void add_locked(uint64_t set) {
  relayed_signals.fetch_or(set);
  update_set_locked();
}

bool takes(const Coroutine* coroutine, uint64_t bit) {
  State state = coroutine->state.load(std::memory_order_relaxed);
  return state != State::free && state != State::finished &&
         !(coroutine->ending.load(std::memory_order_relaxed) & Coroutine::kDeaf) &&
         !(__atomic_load_n(&coroutine->signal_mask, __ATOMIC_SEQ_CST) & bit);
}

// Under the lock from the choice to the hand-over: a coroutine that ends meanwhile waits for what it has been chosen for.
void relay(int signal) {
  uint64_t bit = signal_bit(signal);
  Locked hold(relay_lock);
  Coroutine* taker = coroutine_with_open(bit);
  if (!taker) {
    withdraw_locked(bit);
    taker = coroutine_with_open(bit);
    if (!taker) return;
    add_locked(bit);
  }
  siginfo_t info;
  timespec at_once = {};
  if (sys::call(SYS_rt_sigtimedwait, sys::word(&bit), sys::word(&info), sys::word(&at_once), 8) == signal)
    signal_post(taker, signal, info);
}

void* relay_main(void*) {
  thread_state.of_runtime = true;
  sys::call(SYS_prctl, PR_SET_NAME, sys::word("weft-signals"));
  uint64_t mask = ~signal_bit(kSetxidSignal);
  sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
  tid.store((int)sys::gettid());
  sys::futex_wake(&tid, 1 << 30);
  for (;;) {
    pollfd wait{relay_fd, POLLIN, 0};
    sys::call(SYS_ppoll, sys::word(&wait), 1, 0, 0, 8);
    uint64_t pending = 0;
    sys::call(SYS_rt_sigpending, sys::word(&pending), 8);
    if (pending & signal_bit(kTimerSignal)) thread_timers_relay();
    for (pending &= relayed_signals.load(); pending; pending &= pending - 1) relay(__builtin_ctzll(pending) + 1);
  }
  return nullptr;
}

// False: the signals stay pending until main takes them.
bool start_locked() {
  uint64_t set = awaited();
  long fd = sys::call(SYS_signalfd4, -1, sys::word(&set), 8, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return false;
  relay_fd = make_internal_fd((int)fd);
  if (relay_fd >= 0 && kernel_thread_create(relay_main, nullptr) == 0) return true;
  sys::close(relay_fd >= 0 ? relay_fd : (int)fd);
  relay_fd = -1;
  return false;
}

}  // namespace

Coroutine* coroutine_with_open(uint64_t bit) {
  for (uint32_t i = 0; i < coroutine_slots(); i++) {
    Coroutine* coroutine = coroutine_at(i);
    if (takes(coroutine, bit)) return coroutine;
  }
  return nullptr;
}

void relay_also(uint64_t set) {
  HandlersWait wait;
  Locked hold(relay_lock);
  add_locked(set);
  if (relay_fd < 0 && !start_locked())
    log(Level::warn, "no kernel thread could be made for signals that only some threads have unblocked");
}

unsigned relay_threads() { return __atomic_load_n(&relay_fd, __ATOMIC_RELAXED) >= 0; }

bool relay_begin() {
  HandlersWait wait;
  Locked hold(relay_lock);
  return relay_fd >= 0 || start_locked();
}

int relay_tid() {
  while (!tid.load()) sys::futex_wait(&tid, 0, nullptr);
  return tid.load();
}

void relay_settle(Coroutine* self) {
  if (!relay_threads()) return;
  Locked hold(relay_lock);
  uint64_t set = main_signal_mask.load() & ~self->signal_mask;
  siginfo_t info;
  timespec at_once = {};
  while (set && sys::call(SYS_rt_sigtimedwait, sys::word(&set), sys::word(&info), sys::word(&at_once), 8) > 0)
    signal_post(self, info.si_signo, info);
}

void guest_signal_mask_changed() {
  if (!runtime_on_main()) return;
  uint64_t mask = 0;
  sys::sigprocmask(SIG_SETMASK, nullptr, &mask);
  uint64_t closed = mask & ~main_signal_mask.exchange(mask);
  uint64_t opened = relayed_signals.load() & ~mask;
  if (opened) {
    HandlersWait wait;
    Locked hold(relay_lock);
    withdraw_locked(opened);
  }
  if (!closed || !runtime_started()) return;
  uint64_t wanted = 0;
  for (uint32_t i = 0; i < coroutine_slots() && (closed & ~wanted); i++) {
    const Coroutine* coroutine = coroutine_at(i);
    State state = coroutine->state.load(std::memory_order_relaxed);
    if (state == State::free || state == State::finished) continue;
    wanted |= closed & ~__atomic_load_n(&coroutine->signal_mask, __ATOMIC_SEQ_CST);
  }
  if (wanted) relay_also(wanted);
}

void signal_relay_reset() {
  relay_lock.reset();
  relayed_signals.store(0);
  relay_fd = -1;
  tid.store(0);
  thread_timers_reset();
  uint64_t mask = 0;
  sys::sigprocmask(SIG_SETMASK, nullptr, &mask);
  main_signal_mask.store(mask);
}

}  // namespace weft
