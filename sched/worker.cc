// SPDX-License-Identifier: Apache-2.0
// Scheduling: the run queues, the switch between coroutines, the carrier's loop, and how a worker changes carriers.
//
// A switch goes from coroutine to coroutine directly; only when the queue is empty, the slice is used up or the monitor asks does it
// go through the loop on the carrier's own stack. Whoever runs next settles what the one before left behind (settle), because
// only then has its stack been left: a parked one may have been woken meanwhile, a finished one may be given back.
//
// Races, and who must win:
//   wake against park          the word of Waiter: the later of the two makes the coroutine ready
//   push into an inbox against a worker going to sleep   the sleeper stores `sleeping`, then looks into the inbox; the pusher pushes, then
//                              looks at `sleeping`; both sequentially consistent, so at least one sees the other; `returned` likewise
//   monitor against carrier    `inside` and `taken`, see worker.h
#include "sched/worker.h"

#include <new>
#include <cerrno>
#include <initializer_list>
#include <pthread.h>
#include <sys/wait.h>

#include "asm/cpu.h"
#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/context_switch.h"
#include "sched/cpu_time_signals.h"
#include "sched/groups.h"
#include "sched/inspected.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/monitor.h"
#include "sched/options.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/trace.h"

namespace weft {

bool have_membarrier;
bool may_spin;
constinit uint32_t turn_budget = kBudget;
Lock handoff_lock;

// Made by worker_begin(): a program without threads does not pay for pages of them.
WEFT_LARGE alignas(Worker) char worker_memory[kMaxWorkers * sizeof(Worker)];
unsigned workers_used;

namespace {

Worker* const workers = (Worker*)worker_memory;
// Alone on its line, which every sleep and wake-up writes.
struct alignas(64) {
  std::atomic<int32_t> idle{0};
  std::atomic<int32_t> spinning{0};
} workers_now;

// guarded by handoff_lock
Carrier* spares;
unsigned spare_count;
WEFT_LARGE Worker* orphans[kMaxWorkers];
std::atomic<unsigned> orphan_count;  // read without it too

constexpr uint64_t kTurnsBetween = 8;  // of others, for each that goes first because it is back from the kernel
constexpr uint32_t kManyReady = 256;   // what fewer touch stays in the caches

// A hint for fetch_ahead(), never the truth: the coroutine may have been queued elsewhere since, but it does not go away. In units of
// a coroutine's alignment; 0: none.
void note_follower(Worker* worker, Coroutine* coroutine) {
  Coroutine*& place = worker->pushed[worker->pushes++ % kFollower];
  if (place) {
    intptr_t distance = ((intptr_t)coroutine - (intptr_t)place) / (intptr_t)alignof(Coroutine);
    place->follower.store(distance == (int32_t)distance ? (int32_t)distance : 0, std::memory_order_relaxed);
  }
  coroutine->follower.store(0, std::memory_order_relaxed);
  place = coroutine;
}
const Coroutine* follower_of(const Coroutine* coroutine) {
  return (const Coroutine*)((const char*)coroutine + (intptr_t)coroutine->follower.load(std::memory_order_relaxed) *
                                                         (intptr_t)alignof(Coroutine));
}

constexpr uint32_t kTurnsBeforeLow = 64;     // of others, for each of low priority while there are others
constexpr uint32_t kTurnsBeforeNormal = 16;  // of high priority, for each other one

constexpr uint32_t kFewReady = 16;            // new ones are queued as they come
constexpr uint32_t kTurnsBeforeQueued = 3;    // of new ones beyond these; no divisor of kTurnsBeforeNormal
constexpr uint32_t kTurnsUntilOld = 1 << 14;  // in the list, for the oldest

void add_aside(Worker* worker, uint32_t count) {
  worker->aside.store(worker->aside.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

[[gnu::noinline]] void push_by_priority(Worker* worker, Coroutine* coroutine, int8_t priority) {
  ReadyList& list = priority > 0 ? worker->high : worker->low;
  coroutine->next = nullptr;
  (list.tail ? list.tail->next : list.head) = coroutine;
  list.tail = coroutine;
  add_aside(worker, 1);
}

// Newest first: a tree of coroutines grows by its branches and not level by level, so that few are there at a time and their stacks are
// warm.
void push_fresh(Worker* worker, Coroutine* coroutine) {
  coroutine->next = worker->fresh.head;
  worker->fresh.head = coroutine;
  add_aside(worker, 1);
}

Coroutine* reversed(Coroutine* list) {
  Coroutine* last = nullptr;
  while (list) {
    Coroutine* next = list->next;
    list->next = last;
    last = list;
    list = next;
  }
  return last;
}

Coroutine* pop_list(Worker* worker, ReadyList& list) {
  Coroutine* first = list.head;
  list.head = first->next;
  if (!list.head) list.tail = nullptr;
  add_aside(worker, ~0u);
  return first;
}

Coroutine* pop_normal(Worker* worker) {
  Coroutine* first = worker->head;
  worker->head = first->next;
  if (!worker->head) worker->tail = nullptr;
  worker->length.store(worker->length.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return first;
}

void push_tail(Worker* worker, Coroutine* coroutine) {
  if (int8_t priority = coroutine->priority.load(std::memory_order_relaxed); priority && !chaos) [[unlikely]]
    return push_by_priority(worker, coroutine, priority);
  if (worker->length.load(std::memory_order_relaxed) >= kManyReady) note_follower(worker, coroutine);
  coroutine->next = nullptr;
  if (worker->tail)
    worker->tail->next = coroutine;
  else
    worker->head = coroutine;
  worker->tail = coroutine;
  worker->length.store(worker->length.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// One that always starts another before it ends must not keep those waiting that were there first: now and then the fresh ones go where
// nothing is put before them, and the oldest of them has a turn.
Coroutine* pop_fresh(Worker* worker) {
  bool oldest = worker->turns_aside - worker->turn_of_oldest >= kTurnsUntilOld;
  if (oldest) {
    worker->turn_of_oldest = worker->turns_aside;
    if (!worker->older.head) {
      worker->older.head = reversed(worker->fresh.head);
      worker->fresh.head = nullptr;
    }
  }
  return pop_list(worker, worker->fresh.head && !oldest ? worker->fresh : worker->older);
}

// High goes before normal and normal before low, and of the normal ones those that are new before the queue, but each gets a share of the
// turns.
[[gnu::noinline]] Coroutine* pop_aside(Worker* worker) {
  uint32_t turn = ++worker->turns_aside;
  bool fresh = worker->fresh.head || worker->older.head;
  bool normal = worker->head || fresh;
  if (worker->high.head && (!(normal || worker->low.head) || turn % kTurnsBeforeNormal))
    return pop_list(worker, worker->high);
  if (worker->low.head && (!normal || turn % kTurnsBeforeLow == 0)) return pop_list(worker, worker->low);
  if (fresh && (!worker->head || turn % kTurnsBeforeQueued)) return pop_fresh(worker);
  return pop_normal(worker);
}

void push_head(Worker* worker, Coroutine* coroutine) {
  coroutine->next = worker->head;
  if (!worker->tail) worker->tail = coroutine;
  worker->head = coroutine;
  worker->length.store(worker->length.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// The monitor reads it.
void set_run_next(Worker* worker, Coroutine* coroutine) {
  __atomic_store_n(&worker->run_next, coroutine, __ATOMIC_RELAXED);
}

[[gnu::always_inline]] inline Coroutine* pop(Worker* worker) {
  if (Coroutine* next = worker->run_next) {
    set_run_next(worker, nullptr);
    return next;
  }
  if (worker->aside.load(std::memory_order_relaxed)) [[unlikely]]
    return pop_aside(worker);
  return worker->head ? pop_normal(worker) : nullptr;
}

void write_event(const Worker* worker) {
  uint64_t one = 1;
  sys::write(worker->event_fd, &one, sizeof one);
}

// The sleeping worker is woken by the first who clears its flag.
bool kick(Worker* worker) {
  if (!worker->sleeping.load(std::memory_order_seq_cst) || !worker->sleeping.exchange(0)) return false;
  workers_now.idle.fetch_sub(1, std::memory_order_relaxed);
  if (thread_state.descriptors_apart) [[unlikely]] {
    worker->kick_owed.store(1, std::memory_order_release);
    monitor_kick();
  } else {
    write_event(worker);
  }
  return true;
}

// One of the two stacks for coroutines from elsewhere.
void put_on(std::atomic<Coroutine*>* stack, Worker* worker, Coroutine* coroutine) {
  Coroutine* newest = stack->load(std::memory_order_relaxed);
  do coroutine->next = newest;
  while (!stack->compare_exchange_weak(newest, coroutine));
  kick(worker);
}
void push_inbox(Worker* worker, Coroutine* coroutine) { put_on(&worker->inbox, worker, coroutine); }

// All of it, oldest first.
Coroutine* taken_off(std::atomic<Coroutine*>* stack) {
  if (!stack->load(std::memory_order_relaxed)) return nullptr;
  return reversed(stack->exchange(nullptr, std::memory_order_acquire));
}

void drain_inbox(Worker* worker) {
  for (Coroutine* oldest = taken_off(&worker->inbox); oldest;) {
    Coroutine* next = oldest->next;
    push_tail(worker, oldest);
    oldest = next;
  }
}

bool may_go_first(const Worker* worker) {
  return worker->switches.load(std::memory_order_relaxed) - worker->went_first.load(std::memory_order_relaxed) >=
         kTurnsBetween;
}

// What one had begun when it lost the worker, or parked for a disk, others may wait for, each with a turn of its own: the log of a database that is on
// the disk now. So it goes first, as the kernel has it for those that have slept; but no more than a share of the turns is theirs.
void drain_returned(Worker* worker) {
  for (Coroutine* oldest = taken_off(&worker->returned); oldest;) {
    Coroutine* next = oldest->next;
    if (may_go_first(worker)) {
      worker->went_first.store(worker->switches.load(std::memory_order_relaxed), std::memory_order_relaxed);
      push_head(worker, oldest);
    } else {
      push_tail(worker, oldest);
    }
    oldest = next;
  }
}

// Half of the queue, the older half, goes to another worker, and half of those beside it: of the ones that are older one will do, since it
// may make many.
void give_half(Worker* from, Worker* to) {
  uint32_t normal = from->length.load(std::memory_order_relaxed) / 2;
  uint32_t aside = from->aside.load(std::memory_order_relaxed) / 2;
  if (!normal && !aside) (from->head ? normal : aside) = ready_count(from) ? 1 : 0;
  if (aside && from->older.head) aside = 1;
  count(from->metrics, Metric::steals, normal + aside);
  while (normal--) push_inbox(to, pop_normal(from));
  while (aside--)
    for (ReadyList* list : {&from->older, &from->high, &from->fresh, &from->low})
      if (list->head) {
        push_inbox(to, pop_list(from, *list));
        break;
      }
}

// One that waits for a carrier may wait long: while the kernel gives no more threads.
bool has_carrier(const Worker* worker) { return __atomic_load_n(&worker->carrier, __ATOMIC_RELAXED) != nullptr; }

Worker* sleeping_worker(uint8_t group) {
  if (workers_now.idle.load(std::memory_order_relaxed) <= 0) return nullptr;
  for (unsigned i = 0; i < worker_count(); i++)
    if (workers[i].sleeping.load(std::memory_order_relaxed) && workers[i].group == group) return &workers[i];
  return nullptr;
}

// One that has work at once where another would have to be woken.
Worker* spinning_worker(uint8_t group) {
  if (workers_now.spinning.load(std::memory_order_relaxed) <= 0) return nullptr;
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker& worker = workers[i];
    if (worker.group == group && worker.spinning.load(std::memory_order_relaxed) &&
        !worker.inbox.load(std::memory_order_relaxed))
      return &worker;
  }
  return nullptr;
}

// The worker this thread of control may touch now, or null. Never switches: callers hold locks.
Worker* touchable_worker(bool* entered) {
  ThreadState& state = thread_state;
  *entered = false;
  if (state.carrier) return state.carrier->worker;
  Coroutine* self = state.woven;
  if (!self) return nullptr;
  Carrier* carrier = self->carrier;
  if (carrier->inside.load(std::memory_order_relaxed)) return carrier->worker;
  if (!try_enter(carrier)) return nullptr;
  *entered = true;
  return carrier->worker;
}

constexpr uint64_t kPollEvery = 50000;  // cycles of the time stamp counter, some 20 microseconds
constexpr uint64_t kYieldToKernelEvery = 4 * kPollEvery;
constexpr uint64_t kLongestSpin =
    3 * kPollEvery;  // a thread whose stack is new takes its maker 10 microseconds and more
constexpr uint32_t kShortSleeps = 4;

// A slice used up before there can be news was too short.
void fit_slice(Worker* worker, uint64_t now) {
  if (!worker->slice_begun) return;
  uint64_t taken = now - worker->slice_begun;
  if (taken < kPollEvery / 2 && worker->slice_length < kLongestSlice) worker->slice_length *= 2;
  if (taken > kPollEvery && worker->slice_length > kShortestSlice) worker->slice_length /= 2;
}

// What a switch leaves to the context it goes to: a coroutine whose stack has only now been left, and why, in the low bits.
enum Departure : uintptr_t { kPark, kYield, kFinish, kRejoin };
constexpr uintptr_t kDepartureMask = 3;
static_assert(alignof(Coroutine) > kDepartureMask);

uintptr_t message_of(Coroutine* left, Departure how) { return (uintptr_t)left | how; }

[[gnu::noinline]] void settle_departed(Carrier* carrier, uintptr_t message) {
  auto* left = (Coroutine*)(message & ~kDepartureMask);
  switch (Departure(message & kDepartureMask)) {
    case kPark:
      break;  // settle() has done it
    case kYield:
      left->state.store(State::ready, std::memory_order_relaxed);
      push_tail(carrier->worker, left);
      break;
    case kFinish:
      coroutine_gone(left);
      break;
    case kRejoin:
      make_ready_again(left);
      break;
  }
}

// First thing after every switch.
[[gnu::always_inline]] inline void settle(Carrier* carrier, uintptr_t message) {
  if (!message) return;
  if ((message & kDepartureMask) != kPark) return settle_departed(carrier, message);
  auto* left = (Coroutine*)message;
  uint64_t word = left->waiter.word.fetch_or(Waiter::kSwitchedOut, std::memory_order_acq_rel);
  if (word & Waiter::kReasonMask) [[unlikely]]
    make_ready(left);
}

[[gnu::always_inline]] inline void prepare_resume(Carrier* carrier, Worker* worker, Coroutine* next) {
  // Others read the carrier's thread through it: released here and where the carrier joins its worker.
  __atomic_store_n(&next->carrier, carrier, __ATOMIC_RELEASE);
  next->worker = worker;
  next->budget = turn_budget;
  next->asked.store(chaos, std::memory_order_relaxed);
  next->state.store(State::running, std::memory_order_relaxed);
  __atomic_store_n(&carrier->running, next, __ATOMIC_RELAXED);
  worker->switches.store(worker->switches.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  WEFT_TRACE(worker, run, next->id, 0, 0);
}

constexpr uint32_t kFetched = 4;  // coroutines whose stacks are fetched together

// With thousands of coroutines nothing of the next one is in a cache, and each stack is a page of its own to be found through cold
// page tables: a prefetch waits for that. So every few switches the stacks of the next few but as many are fetched, at the same time,
// and the coroutines that come behind those. Always inline: GCC takes a function that only prefetches for one without effect and
// drops the call.
[[gnu::always_inline]] inline void fetch_ahead(const Worker* worker) {
  if (worker->length.load(std::memory_order_relaxed) < kManyReady || worker->slice_left % kFetched) [[likely]]
    return;
  const Coroutine* coroutine = worker->head;
  for (unsigned i = 0; i < kFetched - 1; i++) coroutine = coroutine->next;
  const ptrdiff_t state = (char*)&thread_state - (char*)__builtin_thread_pointer();
  for (unsigned i = 0; i < kFetched; i++, coroutine = coroutine->next) {
    const char* frames = (const char*)coroutine->context.sp;
    for (int line = 0; line < 8; line++) __builtin_prefetch(frames + 64 * line, 1);
    __builtin_prefetch(coroutine->context.fs);
    __builtin_prefetch((const char*)coroutine->context.fs + state);
    const Coroutine* follower = follower_of(coroutine);
    for (size_t offset = 0; offset < 192; offset += 64) __builtin_prefetch((const char*)follower + offset, 1);
  }
}

// Leaves the running coroutine for the next one, or for the loop. Called inside; returns inside when it runs again.
[[gnu::always_inline]] inline void leave_for_next(Coroutine* self, Departure how) {
  Carrier* carrier = self->carrier;
  Worker* worker = carrier->worker;
  Coroutine* next = nullptr;
  if (worker && worker->slice_left && --worker->slice_left && !worker->preempt.load(std::memory_order_relaxed) &&
      !worker->thief.load(std::memory_order_relaxed))
    next = pop(worker);
  Context* to = &carrier->loop;
  if (next) {
    fetch_ahead(worker);
    prepare_resume(carrier, worker, next);
    to = &next->context;
  }
  uintptr_t message = switch_context(&self->context, to, message_of(self, how));
  settle(self->carrier, message);
}

void switch_away(Coroutine* self, Departure how) { leave_for_next(self, how); }  // where it is not worth being inline

// Guarded by handoff_lock.
void attach_locked(Carrier* carrier, Worker* worker) {
  carrier->worker = worker;
  __atomic_store_n(&worker->carrier, carrier, __ATOMIC_RELEASE);
  carrier->inside.store(1, std::memory_order_relaxed);
  carrier->taken.store(0, std::memory_order_release);
}

void hand_on_locked(Worker* worker) {
  if (Carrier* spare = spares) {
    spares = spare->next;
    spare_count--;
    attach_locked(spare, worker);
    spare->wake.store(1, std::memory_order_release);
    sys::futex_wake(&spare->wake, 1);
  } else {
    orphans[orphan_count++] = worker;
    monitor_kick();
  }
}

// The worker goes on with another carrier.
void part_locked(Carrier* carrier) {
  Worker* worker = carrier->worker;
  if (carrier->running) carrier->running->asked.store(true, std::memory_order_relaxed);
  carrier->worker = nullptr;
  carrier->taken.store(1, std::memory_order_relaxed);
  __atomic_store_n(&worker->carrier, nullptr, __ATOMIC_RELAXED);
  hand_on_locked(worker);
}

constexpr unsigned kMaxSpares = 2;

// To the kernel they are this thread's, not the process's: they get their PR_SET_PDEATHSIG when it ends.
bool has_children(const Carrier* carrier) {
  if (!carrier->made_processes) return false;
  return sys::call(SYS_waitid, P_ALL, 0, 0, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD | __WALL, 0) != -ECHILD;
}

// A carrier without a worker: takes one that waits for a carrier, or sleeps until it gets one. False: it is not needed any more.
bool await_worker(Carrier* carrier) {
  handoff_lock.lock();
  if (orphan_count) {
    attach_locked(carrier, orphans[--orphan_count]);
    handoff_lock.unlock();
    return true;
  }
  if (spare_count >= kMaxSpares && !has_children(carrier)) {
    carrier->retired = true;
    handoff_lock.unlock();
    return false;
  }
  carrier->wake.store(0, std::memory_order_relaxed);
  carrier->next = spares;
  spares = carrier;
  spare_count++;
  handoff_lock.unlock();
  while (!carrier->wake.load(std::memory_order_acquire)) sys::futex_wait(&carrier->wake, 0);
  return true;
}

// Asks busy workers for work before this one sleeps.
void ask_for_work(Worker* worker) {
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker* other = &workers[i];
    if (other != worker && other->group == worker->group && ready_count(other))
      other->thief.store(worker->index + 1, std::memory_order_relaxed);
  }
}

bool has_visitors(const Worker* worker) { return worker->inbox.load() || worker->returned.load(); }

// The threads that main makes in a loop find a worker awake: a sleep and the wake-up from it cost both sides more than the wait. Only
// where the last sleeps were that short and ended so: other work may need the CPU that would be spun on.
bool spin_for_visitors(Worker* worker) {
  if (worker->short_sleeps < kShortSleeps || !may_spin) return false;
  worker->spinning.store(1, std::memory_order_relaxed);
  workers_now.spinning.fetch_add(1, std::memory_order_relaxed);
  uint64_t begun = cpu::time_stamp();
  bool visited = false;
  while (!(visited = has_visitors(worker)) && cpu::time_stamp() - begun < kLongestSpin) cpu::pause();
  workers_now.spinning.fetch_sub(1, std::memory_order_relaxed);
  worker->spinning.store(0, std::memory_order_relaxed);
  if (!visited) worker->short_sleeps = 0;
  return visited;
}

void sleep_in_poller(Worker* worker) {
  if (spin_for_visitors(worker)) return;
  uint64_t begun = cpu::time_stamp();
  workers_now.idle.fetch_add(1, std::memory_order_relaxed);
  worker->sleeping.store(1);
  ask_for_work(worker);  // who is asked gives only to a worker that it sees asleep
  WEFT_TRACE(worker, sleep, 0, 0, 0);
  if (!has_visitors(worker)) poller_poll(worker, worker->timers.earliest());
  worker_awake(worker);
  WEFT_TRACE(worker, wake, 0, 0, 0);
  // Not the way out of the sleep: that takes an idle CPU longer than the spin would have.
  uint64_t visited = worker->begun_here.exchange(0, std::memory_order_relaxed);
  worker->short_sleeps = visited && visited < begun + kLongestSpin ? worker->short_sleeps + 1 : 0;
  monitor_worker_woke();
}

// Its slice is used up: who was to inherit it goes to the back of the queue.
void queue_heir(Worker* worker) {
  if (Coroutine* heir = worker->run_next) {
    set_run_next(worker, nullptr);
    push_tail(worker, heir);
  }
}

void fire_timers(Worker* worker) {
  if (worker->timers.earliest() == kNever) return;
  uint64_t now = now_ns();
  coarse_now.store(now, std::memory_order_relaxed);
  if (worker->timers.earliest() <= now) worker->timers.fire(now);
}

constexpr uint32_t kDrawnFrom = 16;  // of the queue, from its head

// The place of find_next() under WEFT_CHAOS.
Coroutine* draw_next(Worker* worker) {
  for (;;) {
    if (chaos_turns) turn_await();
    queue_heir(worker);
    poller_poll(worker, 0);
    drain_inbox(worker);
    fire_timers(worker);
    if (worker->thief.load(std::memory_order_relaxed)) donate(worker);
    if (workers_used > 1 && chaos_draw(worker, 8) == 0) {
      Worker* other = &workers[chaos_draw(worker, workers_used)];
      if (other != worker && has_carrier(other)) {
        chaos_write(worker, "half of the queue to worker", other->index);
        give_half(worker, other);
      }
    }
    if (worker->head) {
      uint32_t choices = worker->length.load(std::memory_order_relaxed);
      Coroutine* before = nullptr;
      for (uint32_t skip = chaos_draw(worker, choices < kDrawnFrom ? choices : kDrawnFrom); skip; skip--)
        before = before ? before->next : worker->head;
      Coroutine*& link = before ? before->next : worker->head;
      Coroutine* drawn = link;
      link = drawn->next;
      if (worker->tail == drawn) worker->tail = before;
      worker->length.store(choices - 1, std::memory_order_relaxed);
      worker->slice_left = worker->slice_length;
      chaos_write(worker, "run", drawn->id);
      return drawn;
    }
    if (chaos_turns) turn_end();
    sleep_in_poller(worker);
    coarse_now.store(now_ns(), std::memory_order_relaxed);
  }
}

// WEFT_CHAOS: one that becomes ready may have to change its worker. Null: it goes where it would go.
Worker* drawn_worker() {
  if (workers_used == 1 || chaos_draw(nullptr, 4)) return nullptr;
  Worker* drawn = &workers[chaos_draw(nullptr, workers_used)];
  return has_carrier(drawn) ? drawn : nullptr;
}

Coroutine* find_next(Worker* worker) {
  if (chaos) [[unlikely]]
    return draw_next(worker);
  uint64_t now = 0;
  if (!worker->slice_left || worker->preempt.load(std::memory_order_relaxed)) {
    queue_heir(worker);  // two that make each other ready share one slice
    now = cpu::time_stamp();
    if (!worker->slice_left) fit_slice(worker, now);
    // Others are ready: a look at the poller, but not more often than it can have news.
    if (now - worker->polled_at > kPollEvery) {
      worker->polled_at = now;
      poller_poll(worker, 0);
    }
  }
  worker->preempt.store(0, std::memory_order_relaxed);
  for (;;) {
    drain_inbox(worker);
    fire_timers(worker);
    drain_returned(worker);
    if (worker->thief.load(std::memory_order_relaxed)) donate(worker);
    if (Coroutine* next = pop(worker)) {
      worker->slice_left = worker->slice_length;
      worker->slice_begun = now;
      return next;
    }
    now = 0;
    sleep_in_poller(worker);
    coarse_now.store(now_ns(), std::memory_order_relaxed);
  }
}

}  // namespace

Worker* worker_at(unsigned index) { return &workers[index]; }
Worker* worker_begin(unsigned index) {
  auto* worker = new (&workers[index]) Worker;
  worker->index = index;
  return worker;
}
unsigned worker_count() { return __atomic_load_n(&workers_used, __ATOMIC_RELAXED); }
// Release: who sees the number finds the workers.
void workers_set_count(unsigned count_wanted) { __atomic_store_n(&workers_used, count_wanted, __ATOMIC_RELEASE); }

bool worker_sleeps() { return workers_now.idle.load(std::memory_order_relaxed) > 0; }
void worker_wake(Worker* worker) { kick(worker); }

void workers_pay_kicks() {
  for (unsigned i = 0; i < worker_count(); i++)
    if (workers[i].kick_owed.load(std::memory_order_relaxed) && workers[i].kick_owed.exchange(0))
      write_event(&workers[i]);
}

void worker_awake(Worker* worker) {
  if (worker->sleeping.load(std::memory_order_relaxed) && worker->sleeping.exchange(0))
    workers_now.idle.fetch_sub(1, std::memory_order_relaxed);
}

bool donate(Worker* worker) {
  uint32_t thief = worker->thief.exchange(0, std::memory_order_relaxed);
  if (!thief || !ready_count(worker)) return false;
  Worker* other = &workers[thief - 1];
  if (!other->sleeping.load(std::memory_order_relaxed)) return false;
  give_half(worker, other);
  return true;
}

namespace {

Worker* worker_for(const Coroutine* coroutine) {
  Worker* target = coroutine->worker;
  if (target && !has_carrier(target)) target = nullptr;
  if (!target || !target->sleeping.load(std::memory_order_relaxed)) {
    if (Worker* idle = sleeping_worker(coroutine->group)) target = idle;
    if (!target) target = least_loaded_worker(coroutine->group);
  }
  return target;
}

// Made ready by the running one: it goes next.
[[gnu::always_inline]] inline void queue_next(Worker* worker, Coroutine* coroutine) {
  if (Coroutine* before = worker->run_next) push_tail(worker, before);
  set_run_next(worker, coroutine);
}

[[gnu::always_inline]] inline void share_what_is_ready(Worker* worker) {
  if (ready_count(worker) >= 2)
    if (Worker* idle = sleeping_worker(worker->group)) give_half(worker, idle);
}

}  // namespace

bool wake_inside(Coroutine* self, Waiter* waiter, uint64_t ticket) {
  uint64_t word;
  if (!end_wait(waiter, ticket, Wake::unparked, &word)) return false;
  Worker* worker = self->carrier->worker;
  Coroutine* coroutine = waiter->coroutine;
  bool parked = (word & (Waiter::kSwitchedOut | Waiter::kKernelThread)) == Waiter::kSwitchedOut;
  if (!parked || chaos || worker->group != coroutine->group || coroutine->priority.load(std::memory_order_relaxed) ||
      worker->shares.load(std::memory_order_relaxed)) [[unlikely]] {
    resume_owner(waiter, word);
    return true;
  }
  coroutine->state.store(State::ready, std::memory_order_relaxed);
  WEFT_TRACE(worker, ready, coroutine->id, 0, 0);
  queue_next(worker, coroutine);
  share_what_is_ready(worker);
  return true;
}

// Not inline: after a switch nothing may use an address in the TLS block that was computed before it.
[[gnu::noinline]] void make_ready(Coroutine* coroutine) {
  coroutine->state.store(State::ready, std::memory_order_relaxed);
  if (chaos) [[unlikely]]
    if (Worker* drawn = drawn_worker()) return push_inbox(drawn, coroutine);
  bool entered;
  if (Worker* worker = touchable_worker(&entered)) {
    WEFT_TRACE(worker, ready, coroutine->id, 0, 0);
    if (worker->group != coroutine->group) [[unlikely]] {
      push_inbox(worker_for(coroutine), coroutine);
      if (entered) leave(thread_state.woven);
      return;
    }
    Worker* sharer = worker->shares.load(std::memory_order_relaxed) ? sleeping_worker(worker->group) : nullptr;
    if (thread_state.carrier) {
      (worker->wakes_first ? push_head : push_tail)(worker, coroutine);
    } else if (sharer) {
      push_inbox(sharer, coroutine);
    } else if (coroutine->priority.load(std::memory_order_relaxed) < 0) [[unlikely]] {
      push_tail(worker, coroutine);
    } else {
      queue_next(worker, coroutine);
    }
    share_what_is_ready(worker);
    if (entered) leave(thread_state.woven);
    return;
  }
  WEFT_TRACE(nullptr, ready, coroutine->id, 0, 0);
  if (coroutine->wait_kind.load(std::memory_order_relaxed) == (uint8_t)WaitKind::file && !chaos)
    make_ready_again(coroutine);
  else
    push_inbox(worker_for(coroutine), coroutine);
}

void make_ready_again(Coroutine* coroutine) {
  if (chaos) [[unlikely]]
    return make_ready(coroutine);
  coroutine->state.store(State::ready, std::memory_order_relaxed);
  Worker* target = worker_for(coroutine);
  put_on(&target->returned, target, coroutine);
  if (may_go_first(target)) ask_to_give_way(target);
}

void start_coroutine(Coroutine* coroutine, bool newest_first) {
  coroutine->state.store(State::ready, std::memory_order_relaxed);
  WEFT_TRACE(nullptr, begin, coroutine->id, (uint64_t)(uintptr_t)coroutine->start, 0);
  if (chaos) [[unlikely]]
    if (Worker* drawn = drawn_worker()) return push_inbox(drawn, coroutine);
  bool entered;
  if (Worker* worker = touchable_worker(&entered)) {
    bool own = worker->group == coroutine->group;
    if (own) {
      bool behind = worker->length.load(std::memory_order_relaxed) >= kFewReady;
      if (newest_first && behind && !coroutine->priority.load(std::memory_order_relaxed) && !chaos)
        push_fresh(worker, coroutine);
      else
        push_tail(worker, coroutine);
      if (ready_count(worker) >= (worker->shares.load(std::memory_order_relaxed) ? 1 : 2))
        if (Worker* idle = sleeping_worker(worker->group)) give_half(worker, idle);
    }
    if (entered) leave(thread_state.woven);
    if (own) return;
  }
  Worker* target = spinning_worker(coroutine->group);
  if (!target) target = sleeping_worker(coroutine->group);
  if (!target) target = least_loaded_worker(coroutine->group);
  target->begun_here.store(cpu::time_stamp(), std::memory_order_relaxed);
  push_inbox(target, coroutine);
}

Worker* least_loaded_worker(uint8_t group) {
  static std::atomic<uint32_t> turn{0};
  const unsigned all = worker_count();
  uint32_t first = turn.fetch_add(1, std::memory_order_relaxed);
  Worker* best = nullptr;
  for (unsigned i = 0; i < all; i++) {
    Worker* worker = &workers[(first + i) % all];
    if (worker->group != group) continue;
    if (!best || has_carrier(worker) > has_carrier(best) ||
        (has_carrier(worker) == has_carrier(best) && ready_count(worker) < ready_count(best)))
      best = worker;
  }
  return best;
}

Worker* enter_slow(Coroutine* self) {
  for (;;) {
    Carrier* carrier = self->carrier;
    carrier->inside.store(0, std::memory_order_release);
    handoff_lock.lock();  // the monitor has decided when we get it
    if (!carrier->worker && orphan_count && orphans[orphan_count - 1]->group == self->group)
      attach_locked(carrier, orphans[--orphan_count]);
    if (carrier->worker) {
      carrier->inside.store(1, std::memory_order_relaxed);
      self->worker = carrier->worker;
      self->asked.store(chaos, std::memory_order_relaxed);
      handoff_lock.unlock();
      return carrier->worker;
    }
    handoff_lock.unlock();
    switch_away(self, kRejoin);
    if (self->carrier->worker) return self->carrier->worker;
  }
}

bool try_enter(Carrier* carrier) {
  carrier->inside.store(1, std::memory_order_relaxed);
  if (have_membarrier)
    std::atomic_signal_fence(std::memory_order_seq_cst);
  else
    std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!carrier->taken.load(std::memory_order_relaxed)) return true;
  carrier->inside.store(0, std::memory_order_release);
  return false;
}

namespace {

void trace_park(const Worker* worker, const Coroutine* self) {
  auto kind = WaitKind(self->wait_kind.load(std::memory_order_relaxed));
  uint64_t object =
      waits_on_descriptor(kind) ? (uint64_t)(uint32_t)self->wait_fd : (uint64_t)(uintptr_t)self->wait_object;
  WEFT_TRACE(worker, park, self->id, object, (uint32_t)kind);
}

[[gnu::always_inline]] inline Wake await_wake(Coroutine* self, WaitKind kind) {
  Worker* worker = self->carrier->worker;
  count(worker->metrics, Metric::parks);
  self->handlers_ran = 0;
  // Sent since the caller looked: the sender found no wait to end. Both sides do an atomic read-modify-write in between.
  cpu::fence_after_atomic();
  if (signals_wanted(self) || cancel_ends(self, kind)) [[unlikely]]
    interrupt(&self->waiter);
  if (self->waiter.reason() == Wake::waiting) [[likely]] {
    self->state.store(State::parked, std::memory_order_relaxed);
    trace_park(worker, self);
    leave_for_next(self, kPark);
  }
  count(self->carrier->worker->metrics, Metric::wakes);
  self->wait_kind.store((uint8_t)WaitKind::none, std::memory_order_relaxed);
  return self->waiter.reason();
}

[[gnu::noinline]] Wake block_until(Coroutine* self, WaitKind kind, uint64_t ticket, uint64_t deadline) {
  bool limited = self->calls_deadline < deadline && ends_by_cancel(kind);
  if (limited) deadline = self->calls_deadline;
  if (deadline == kNever) return await_wake(self, kind);
  TimerHeap& heap = self->carrier->worker->timers;
  Wake reason;
  if (heap.add(&self->timer, deadline, &self->waiter, ticket)) {
    reason = await_wake(self, kind);
    heap.remove(&self->timer);
  } else {
    // No memory for a timer: wait as a kernel thread does, and let the worker go on.
    region_enter(RegionKind::lasting);
    self->pinned = true;
    self->pin_reason = PinReason::no_memory;
    reason = block_kernel_thread(&self->waiter, deadline);
    self->pinned = false;
    region_leave();
    enter(self);
  }
  return limited && reason == Wake::timed_out ? Wake::interrupted : reason;
}

}  // namespace

Wake block_coroutine(Coroutine* self, uint64_t ticket, uint64_t deadline) {
  auto kind = WaitKind(self->wait_kind.load(std::memory_order_relaxed));
  if (deadline == kNever && self->calls_deadline == kNever) [[likely]]
    return await_wake(self, kind);
  return block_until(self, kind, ticket, deadline);
}

int waits_end_with(const Coroutine* self) {
  if (int error = calls_end_with(self)) return error;
  return self->calls_deadline != kNever && now_ns() >= self->calls_deadline ? ETIMEDOUT : 0;
}

namespace {

// Whole slices of nothing but yields: who is waited for so may be a kernel thread, and have none of the CPUs while this goes on.
bool only_yields(Worker* worker) {
  if (worker->slice_left) return false;
  uint64_t parks = worker->metrics.value[(unsigned)Metric::parks], now = cpu::time_stamp();
  bool parked = parks != worker->parks_seen;
  worker->parks_seen = parks;
  if (parked || now - worker->yielded_at < kYieldToKernelEvery) return false;
  worker->yielded_at = now;
  return true;
}

}  // namespace

int yield(Coroutine* self) {
  enter(self);
  Worker* worker = self->worker;  // a load less than by the carrier
  Carrier* carrier = self->carrier;
  Coroutine* next = worker->head;
  if (next && !worker->run_next && worker->slice_left && --worker->slice_left &&
      !(worker->preempt.load(std::memory_order_relaxed) | worker->thief.load(std::memory_order_relaxed) |
        worker->aside.load(std::memory_order_relaxed) | (uint8_t)self->priority.load(std::memory_order_relaxed)))
      [[likely]] {
    // The head and this one change places. It may be queued before its stack is left: the queue is this carrier's own.
    if (worker->tail == next) {
      worker->head = self;
    } else {
      worker->tail->next = self;
      worker->head = next->next;
    }
    worker->tail = self;
    self->next = nullptr;
    self->state.store(State::ready, std::memory_order_relaxed);
    if (worker->length.load(std::memory_order_relaxed) >= kManyReady) {
      note_follower(worker, self);
      fetch_ahead(worker);
    }
    prepare_resume(carrier, worker, next);
    uintptr_t message = switch_context(&self->context, &next->context, 0);
    settle(self->carrier, message);
  } else if (next || worker->run_next || worker->aside.load(std::memory_order_relaxed) ||
             worker->inbox.load(std::memory_order_relaxed) || worker->returned.load(std::memory_order_relaxed) ||
             !worker->slice_left || worker->preempt.load(std::memory_order_relaxed)) {
    bool to_kernel = only_yields(worker);
    switch_away(self, kYield);
    if (to_kernel) {
      leave(self);
      sys::call(SYS_sched_yield);
      return 0;
    }
  } else {
    worker->slice_left--;
    self->budget = turn_budget;
  }
  leave(self);
  return 0;
}

namespace {

// WEFT_CHAOS: what a hook does to its caller.
void give_way_by_chance(Coroutine* self) {
  Worker* worker = enter(self);
  switch (chaos_draw(worker, 10)) {
    default:
      self->budget = turn_budget;
      chaos_write(worker, "on with", self->id);
      break;
    case 0:
    case 1:
    case 2:
      chaos_write(worker, "way given by", self->id);
      switch_away(self, kYield);
      break;
    case 3:
      chaos_write(worker, "another kernel thread for", self->id);
      self->carrier->hands_over = true;
      switch_away(self, kYield);
      break;
    case 4:
      chaos_write(worker, "another worker for", self->id);
      switch_away(self, kRejoin);
      break;
  }
  leave(self);
}

}  // namespace

void ask_to_give_way(Worker* worker) {
  worker->preempt.store(1, std::memory_order_relaxed);
  Carrier* carrier = __atomic_load_n(&worker->carrier, __ATOMIC_ACQUIRE);
  Coroutine* running = carrier ? __atomic_load_n(&carrier->running, __ATOMIC_RELAXED) : nullptr;
  if (running) running->asked.store(true, std::memory_order_relaxed);
}

void give_way(Coroutine* self) {
  if (chaos) [[unlikely]]
    return give_way_by_chance(self);
  const bool waits = self->carrier->taken.load(std::memory_order_relaxed);
  Worker* worker = enter(self);
  // Who has lost the worker has waited for one now, and that was the others' turn.
  if (!waits && (ready_count(worker) || worker->run_next || worker->inbox.load(std::memory_order_relaxed) ||
                 worker->returned.load(std::memory_order_relaxed) || !worker->slice_left ||
                 worker->preempt.load(std::memory_order_relaxed))) {
    switch_away(self, kYield);
  } else {
    worker->slice_left--;
    self->budget = turn_budget;
    self->asked.store(false, std::memory_order_relaxed);
  }
  leave(self);
}

void coroutine_begins(Coroutine* self, uintptr_t message) {
  settle(self->carrier, message);
  leave(self);
}

void switch_finished(Coroutine* self) {
  if (self->pinned) {
    Carrier* carrier = self->carrier;
    switch_context(&self->context, &carrier->loop, message_of(self, kFinish));
  } else {
    enter(self);
    switch_away(self, kFinish);
  }
  WEFT_CHECK(false, "coroutine %u ran on after its end", self->id);
}

void release_worker(Coroutine* self) {
  handoff_lock.lock();
  part_locked(self->carrier);
  handoff_lock.unlock();
  leave(self);
}

namespace {

// Every CPU that runs this process passes a barrier, where membarrier is there: else only this one. Negative: it has failed.
long pass_barrier() {
  if (have_membarrier) return sys::call(SYS_membarrier, 1 << 3 /* PRIVATE_EXPEDITED */, 0, 0);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return 0;
}

}  // namespace

bool runs_outside(const Coroutine* coroutine) {
  bool all_passed = have_membarrier && pass_barrier() == 0;
  State state = coroutine->state.load(std::memory_order_relaxed);
  if (state != State::running && state != State::blocked) return false;
  Carrier* carrier = __atomic_load_n(&coroutine->carrier, __ATOMIC_ACQUIRE);
  // A store that says it is inside may be older than what it has done since, where no barrier was passed.
  return carrier && !(all_passed && carrier->inside.load(std::memory_order_relaxed));
}

bool take_worker(Worker* worker) {
  Locked locked(handoff_lock);
  Carrier* carrier = worker->carrier;
  if (!carrier) return false;
  carrier->taken.store(1);
  long barrier = pass_barrier();
  // Without memory it is tried again. Forbidden since the start, it has to do without: carriers pass a fence from now on, and those
  // that have just entered without one have done so long before the next look.
  if (barrier < 0 && barrier != -ENOMEM) have_membarrier = false;
  if (barrier < 0 || carrier->inside.load()) {
    carrier->taken.store(0);
    return false;
  }
  part_locked(carrier);
  WEFT_TRACE(worker, hand_off, 0, 0, 0);
  return true;
}

bool worker_waits_for_carrier() { return orphan_count != 0; }

void add_orphan(Worker* worker) {
  Locked locked(handoff_lock);
  orphans[orphan_count++] = worker;
}

void carrier_loop(Carrier* carrier) {
  for (uintptr_t message = 0;;) {
    settle(carrier, message);
    __atomic_store_n(&carrier->running, nullptr, __ATOMIC_RELAXED);
    if (carrier->pinned) return;
    if (carrier->hands_over) [[unlikely]] {
      carrier->hands_over = false;
      Locked locked(handoff_lock);
      if (carrier->worker && spares) part_locked(carrier);
    }
    if (!carrier->worker && !await_worker(carrier)) return;
    Worker* worker = carrier->worker;
    if (worker->group != carrier->cpus_of) [[unlikely]]
      use_cpus_of(carrier, worker->group);
    Coroutine* next = find_next(worker);
    cpu_time_signals_settle(carrier, next);
    prepare_resume(carrier, worker, next);
    message = switch_context(&carrier->loop, &next->context, 0);
  }
}

void workers_reset() {
  handoff_lock.reset();
  spares = nullptr;
  spare_count = orphan_count = 0;
  workers_now.idle.store(0);
  workers_now.spinning.store(0);
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker& worker = workers[i];
    worker.run_next = worker.head = worker.tail = nullptr;
    worker.high = worker.low = worker.fresh = worker.older = {};
    worker.aside.store(0);
    worker.slice_left = 0;
    for (Coroutine*& place : worker.pushed) place = nullptr;
    worker.epoll_fd = -1;
    worker.event_fd = -1;
    worker.length.store(0);
    worker.switches.store(0);
    worker.went_first.store(0);
    worker.metrics = {};
    worker.inbox.store(nullptr);
    worker.returned.store(nullptr);
    worker.sleeping.store(0);
    worker.spinning.store(0);
    worker.begun_here.store(0);
    worker.thief.store(0);
    worker.kick_owed.store(0);
    worker.preempt.store(0);
    worker.carrier = nullptr;
    worker.timers.reset();
  }
  workers_used = 0;
}

}  // namespace weft
