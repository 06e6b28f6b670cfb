// SPDX-License-Identifier: Apache-2.0
// Workers and carriers: who may run coroutines, and on which kernel thread.
//
//   worker    the right to run coroutines: a private run queue, an inbox for everyone else, a timer heap, an epoll instance
//   carrier   a kernel thread; at most one worker is with it, and a worker is with at most one carrier
//
// The private queue and the run-next slot belong to the carrier that has the worker: no atomics on the way of a switch. Others put
// coroutines into the inbox. A worker with nothing to do names itself in a busy one's `thief`, which hands over half its queue.
//
// Cache lines that go from CPU to CPU, in a model of 64 workers on two sockets, where one such step takes 0.1 us. A turn of a
// coroutine on the worker where it ran last (switch, read, write, park, timer) takes none: it writes the coroutine, its stack, its
// descriptor's entry and the worker's own part, counters included, which others only read.
//
//   made ready from elsewhere   the waiter's word and `inbox`, 2 there and 2 back; a coroutine that moves takes its 3 to 10 along
//   out of work, and woken      `sleeping`, and one line for all, workers_now: 64 workers that each sleep 5,000 times a second write it
//                               once in 3 us, and who makes a second coroutine ready reads it anew each time: 1 to 2 % of a request
//   a contended lock            its own line and one of the lot's 4,096 buckets
//   monitor                     reads 2 lines of each worker in 10 ms and has its own to write
//
// So what is bounded is sleeping and stealing, not turns; both are rare where there is work.
//
// Who owns a worker. `inside` is stored by the carrier when it enters the runtime and cleared when it leaves. The monitor that
// wants the worker of a stuck carrier stores `taken`, makes every CPU pass a barrier (membarrier), and then reads `inside`:
// either it sees the carrier inside, gives up and clears `taken`, or the carrier's next entry sees `taken`. So the entry costs a
// store and a load. The decision is made under handoff_lock, where the carrier waits for it. Rejected: a compare-exchange pair
// on entry and exit, eight times the cost.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/timers.h"

namespace weft {

constexpr unsigned kMaxWorkers = 256;
// After so many direct switches the carrier goes through its loop: inbox, timers, poller. More where they take no time: the loop costs
// as much as ten of the shortest.
constexpr uint32_t kShortestSlice = 64;
constexpr uint32_t kLongestSlice = 1024;
constexpr uint32_t kFollower = 8;  // a queued coroutine knows who comes so many places behind it
constexpr uint64_t kAlternateStack = 32 << 10;
constexpr uint32_t kBudget = 64;        // woven calls that succeed in a row before others get their turn
extern constinit uint32_t turn_budget;  // that, or under WEFT_CHAOS 1

// Coroutines that are ready and not in the queue.
struct ReadyList {
  Coroutine* head = nullptr;
  Coroutine* tail = nullptr;  // of those that are appended to
};

struct alignas(64) Worker {
  // carrier only
  Coroutine* run_next = nullptr;  // made ready by the running one: goes first, inherits its time slice
  Coroutine* head = nullptr;
  Coroutine* tail = nullptr;
  uint32_t slice_left = 0;  // direct switches until the loop is passed
  uint32_t slice_length = kShortestSlice;
  uint32_t index = 0;
  uint8_t group = 0;              // whose coroutines it runs; see groups.h
  bool wakes_first = false;       // whom its carrier makes ready goes to the head of the queue
  std::atomic<int> epoll_fd{-1};  // may be moved to another number
  std::atomic<int> event_fd{-1};
  ReadyList high, low;                // of a priority that is not the normal one
  ReadyList fresh, older;             // made when others were ready: newest first; and, of those, oldest first
  uint32_t turn_of_oldest = 0;        // `turns_aside` when the oldest of them had a turn
  uint32_t turns_aside = 0;           // while there are such
  Coroutine* pushed[kFollower] = {};  // the last ones that were queued, in a ring
  uint32_t pushes = 0;
  uint64_t parks_seen = 0;  // when a coroutine yielded last and the slice was used up, and when that was
  uint64_t yielded_at = 0;
  uint64_t slice_begun = 0;   // time stamp; 0: not known
  uint32_t short_sleeps = 0;  // in a row, each soon ended by one who makes threads
  uint64_t polled_at = 0;     // time stamp of the last look at the poller while others were ready
  // carrier writes, all read
  std::atomic<uint32_t> length{0};  // of the queue from `head` on
  std::atomic<uint32_t> aside{0};   // in all of these
  std::atomic<uint64_t> switches{0};
  std::atomic<uint64_t> went_first{0};   // `switches` when one that had returned went first
  std::atomic<uint32_t> looks_begun{0};  // into its epoll
  std::atomic<uint32_t> looks_done{0};   // number of the last one whose events have all been acted on
  Metrics metrics;

  // all
  alignas(64) std::atomic<Coroutine*> inbox{nullptr};  // newest first
  std::atomic<Coroutine*> returned{nullptr};           // back from the kernel; see make_ready_again(); newest first
  std::atomic<uint32_t> sleeping{0};                   // blocked in its poller: an eventfd write wakes it
  std::atomic<uint32_t> spinning{0};                   // awake, and looks into its inbox
  std::atomic<uint64_t> begun_here{
      0};                          // time stamp: somebody who is no coroutine has made one and put it here; 0: nobody
  std::atomic<uint32_t> thief{0};  // index + 1 of a worker that wants work
  std::atomic<uint32_t> kick_owed{0};  // by the monitor, for one who does not have the eventfd
  std::atomic<uint32_t> preempt{0};    // the running coroutine has had its time, or another goes before it
  std::atomic<uint32_t> shares{0};     // monitor writes: who is made ready here goes to a sleeping worker
  Carrier* carrier = nullptr;          // guarded by handoff_lock
  TimerHeap timers;

  // monitor only
  alignas(64) uint64_t ticks_seen = 0;  // `switches` at its last look
  uint64_t cpu_when_stuck = 0;          // the carrier's CPU time when it was first found without a switch
  uint32_t ticks_stuck = 0;
  uint32_t waits_seen = 0;  // how often somebody waited here while another worker slept
  uint64_t sampled_at = 0;
  uint64_t run_since = 0;  // last look at which it had switched
};

struct alignas(64) Carrier {
  std::atomic<uint32_t> inside{0};
  std::atomic<uint32_t> taken{1};  // no worker is with it, or the monitor is deciding
  Worker* worker = nullptr;        // written under handoff_lock
  Context loop;                    // its own stack and fs
  std::atomic<uint32_t> wake{0};   // futex a spare carrier sleeps on
  Coroutine* running = nullptr;
  Coroutine* pinned = nullptr;
  Carrier* next = nullptr;          // list of spares, guarded by handoff_lock
  void* alternate_stack = nullptr;  // of its kernel thread, for the report of an overflow; null: none
  int tid = 0;
  bool retired = false;
  uint64_t cpu_time_signals = 0;    // that its kernel thread has open; see cpu_time_signals.h
  std::atomic<uint64_t> struck{0};  // those that came between two coroutines
  uint8_t cpus_of = 0;              // group whose CPUs its kernel thread may use; own thread only
  bool made_processes = false;      // a coroutine has forked on it; own thread only
  bool hands_over = false;          // WEFT_CHAOS: its worker goes on with another carrier; own thread only
};

// Enters the runtime from a coroutine: its carrier has a worker that nobody takes until leave(). May wait for a worker.
Worker* enter_slow(Coroutine* self);
extern bool have_membarrier;
inline Worker* enter(Coroutine* self) {
  Carrier* carrier = self->carrier;
  carrier->inside.store(1, std::memory_order_relaxed);
  if (have_membarrier)
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the CPU's fence is the monitor's membarrier
  else
    std::atomic_thread_fence(std::memory_order_seq_cst);
  if (carrier->taken.load(std::memory_order_relaxed)) [[unlikely]]
    return enter_slow(self);
  return carrier->worker;
}
// Does it run code that is not weft's? False: it sees whatever the caller stored before, once it does so again. Any thread.
bool runs_outside(const Coroutine* coroutine);
inline void leave(Coroutine* self) { self->carrier->inside.store(0, std::memory_order_release); }

// Makes a coroutine run soon. Any thread.
void make_ready(Coroutine* coroutine);
// The same for one that has lost its worker in a call and wants one again, or has waited for a disk.
void make_ready_again(Coroutine* coroutine);

// wake(…, Wake::unparked) of a coroutine's waiter by `self`, which runs and is inside: the way of a value handed over.
bool wake_inside(Coroutine* self, Waiter* waiter, uint64_t ticket);

// Waits until `waiter.word` has a reason. `ticket` is that of begin(). The coroutine form is called inside (after enter) and
// returns inside; the guest form blocks the kernel thread.
Wake block_coroutine(Coroutine* self, uint64_t ticket, uint64_t deadline);
Wake block_kernel_thread(Waiter* waiter, uint64_t deadline);

// The error with which the running coroutine's waits end now: ECANCELED, ETIMEDOUT where its deadline has passed, or 0.
int waits_end_with(const Coroutine* self);

// The running coroutine goes to the back of the queue.
// Returns 0 for sched_yield, whose call of it is a jump.
int yield(Coroutine* self);
// For every woven call: gives way when the budget is spent, the monitor asks, or the worker was taken.
void give_way(Coroutine* self);
inline void check_turn(Coroutine* self) {
  if (--self->budget == 0 || self->asked.load(std::memory_order_relaxed)) [[unlikely]]
    give_way(self);
}
// Asks whoever runs there. Any thread.
void ask_to_give_way(Worker* worker);

// What a woven call moved counts against the budget too: a coroutine that copies much at each call must not have as many of them.
inline void charge(Coroutine* self, unsigned long bytes) {
  unsigned long price = bytes >> 12;
  self->budget = price < self->budget ? self->budget - (uint32_t)price : 1;
}

// Blocking regions. brief: most end at once, the monitor takes the worker if not; interruptible: so too, but a wait in it may be ended
// by signals alone; lasting: the worker goes on at once.
enum class RegionKind : uint8_t { brief, interruptible, lasting };
void region_enter(RegionKind kind);
void region_leave();
template <class Call>
auto in_region(RegionKind kind, Call call) {
  region_enter(kind);
  auto result = call();
  region_leave();
  return result;
}
// A handler that runs in the caller's signal window is about to wait: the worker goes on at once.
void handler_waits();
// The running coroutine has been unwound out of its regions.
void regions_abandon();
// Resolver calls: at most WEFT_MAX_REGIONS at once, further ones wait parked.
void resolver_enter();
void resolver_leave();

// The running coroutine keeps its carrier for good and is a kernel thread from here on: woven() is null afterwards.
void pin_current(PinReason reason);

// Coroutines in its queues.
inline uint32_t ready_count(const Worker* worker) {
  return worker->length.load(std::memory_order_relaxed) + worker->aside.load(std::memory_order_relaxed);
}

Worker* worker_at(unsigned index);
unsigned worker_count();
void workers_pay_kicks();          // monitor
bool worker_sleeps();              // one of them, in its poller
void worker_wake(Worker* worker);  // if it sleeps in its poller, it looks again
// Its epoll_wait has returned: what it makes ready now is its own to run, and nobody need wake it. Its carrier only.
void worker_awake(Worker* worker);
bool donate(Worker* worker);  // half its queue to the worker named in `thief`

}  // namespace weft
