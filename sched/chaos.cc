// SPDX-License-Identifier: Apache-2.0
// Chance, the decision log, and the turns of one worker and its guests.
//
// Who has the turn is one pointer, changed under turn_lock. A guest whose wait is ended queues for a turn at once, by the hand of who
// ended it, not when its kernel thread has come round: so the moment from which it can be drawn is fixed. For the same reason the
// worker counts as wanting a turn as soon as it has something to run, while it is still waking up.
#include "sched/chaos.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>

#include "sched/clock.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/monitor.h"
#include "sched/options.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

constinit bool chaos = false;
constinit bool chaos_turns = false;

namespace {

// ---- chance

constinit uint64_t seed = 0;
long begun_by = 0;  // process; a fork child's handlers come to hooks before its runtime is fresh
WEFT_LARGE std::atomic<uint64_t> states[kMaxWorkers + 1];  // the last one is everybody's who has no worker

void seed_states() {
  for (unsigned i = 0; i <= kMaxWorkers; i++) states[i].store((seed << 16) + i, std::memory_order_relaxed);
}

// ---- the log

constinit const char* log_path = nullptr;
int log_fd = -1;  // guarded by log_lock, like the file's order
Lock log_lock;

void open_log() {
  char path[512];
  format_text(path, sizeof path, "%s.%d", log_path, (int)sys::getpid());
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word(path), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    log(Level::error, "the decision log %s cannot be written (errno %d); there will be none", path, (int)-fd);
    log_path = nullptr;
    return;
  }
  int high = make_internal_fd((int)fd);
  log_fd = high >= 0 ? high : (int)fd;
}

// A handler that makes a decision must not meet a lock held by what it has interrupted.
class [[nodiscard]] LockedFromSignals {
 public:
  explicit LockedFromSignals(Lock& lock) : lock_(lock) {
    uint64_t all = ~uint64_t{0};
    sys::sigprocmask(0 /* SIG_BLOCK */, &all, &mask_);
    lock_.lock();
  }
  ~LockedFromSignals() {
    lock_.unlock();
    sys::sigprocmask(2 /* SIG_SETMASK */, &mask_, nullptr);
  }
  LockedFromSignals(const LockedFromSignals&) = delete;
  LockedFromSignals& operator=(const LockedFromSignals&) = delete;

 private:
  Lock& lock_;
  uint64_t mask_;
};

// ---- turns

struct Guest {
  const Waiter* waiter = nullptr;  // who it is; an entry is never given back
  std::atomic<uint32_t> bell{0};   // futex on which it waits for its turn
  int tid = 0;
  bool queued = false;
};
struct Looks {  // monitor only
  uint64_t turns = 0;
  uint64_t cpu = 0;
  uint32_t asleep = 0;
};
constexpr unsigned kMaxGuests = 256;  // further ones run without turns
constexpr uint32_t kLooksAsleep = 2;
constexpr uint64_t kLongest = 200000000;  // nanoseconds of CPU within one turn

Lock turn_lock;  // guards what follows, up to the bell
WEFT_LARGE Guest guests[kMaxGuests];
unsigned guest_count;
Guest worker_turn;         // stands for the worker where a guest is asked for
Guest* holder;             // null: nobody
Guest* queue[kMaxGuests];  // guests that want a turn, oldest first
unsigned queued;
bool turn_is_new;  // the worker has been given it and has not begun
uint64_t turns;    // given, or gone on with
Looks looks;

const Waiter* own_waiter() {
  const Coroutine* identity = thread_state.identity;
  return identity && identity->pinned ? &identity->waiter : &thread_state.guest_waiter;
}

Guest* guest_of(const Waiter* waiter) {
  for (unsigned i = 0; i < guest_count; i++)
    if (guests[i].waiter == waiter) return &guests[i];
  if (guest_count == kMaxGuests) return nullptr;
  Guest* guest = &guests[guest_count++];
  guest->waiter = waiter;
  return guest;
}

void enqueue(Guest* guest) {
  if (guest->queued) return;
  guest->queued = true;
  queue[queued++] = guest;
}

void dequeue(Guest* guest) {
  if (!guest->queued) return;
  guest->queued = false;
  unsigned at = 0;
  while (queue[at] != guest) at++;
  memmove(&queue[at], &queue[at + 1], (--queued - at) * sizeof *queue);
}

void give(Guest* to) {
  dequeue(to);
  holder = to;
  turns++;
  turn_is_new = to == &worker_turn;
  if (turn_is_new)
    chaos_write(nullptr, "turn of the worker", 0);
  else
    chaos_write(nullptr, "turn of guest", (uint32_t)(to - guests));
  to->bell.fetch_add(1, std::memory_order_release);
  sys::futex_wake(&to->bell, 1);
}

bool worker_wants_turn() {
  Worker* worker = worker_at(0);
  if (ready_count(worker) || worker->inbox.load() || __atomic_load_n(&worker->run_next, __ATOMIC_RELAXED) ||
      worker->timers.earliest() <= now_ns())
    return true;
  pollfd events{worker->epoll_fd, POLLIN, 0};
  timespec none{};
  return sys::call(SYS_ppoll, sys::word(&events), 1, sys::word(&none), 0, 8) > 0;
}

// The next turn is drawn. `self`: its holder, if it wants to go on.
void pass(Guest* self, bool worker_wants) {
  turns++;
  uint32_t choices = queued + worker_wants + (self != nullptr);
  holder = nullptr;
  if (!choices) {
    // It may be awake for what is not there any more, or not yet: it looks again, and sleeps in its poller.
    worker_turn.bell.fetch_add(1, std::memory_order_release);
    sys::futex_wake(&worker_turn.bell, 1);
    return;
  }
  uint32_t chosen = chaos_draw(nullptr, choices);
  if (chosen < queued)
    give(queue[chosen]);
  else if (worker_wants && chosen == queued)
    give(&worker_turn);
  else
    holder = self;
  if (self && holder != self) enqueue(self);
}

// A guest waits until it has the turn.
void await_turn(Guest* guest) {
  for (;;) {
    uint32_t rung = guest->bell.load(std::memory_order_acquire);
    {
      LockedFromSignals locked(turn_lock);
      guest->tid = (int)sys::gettid();
      if (!holder) give(guest);
      if (holder == guest) return;
      enqueue(guest);
    }
    sys::futex_wait(&guest->bell, rung);
  }
}

Guest* find_guest(const Waiter* waiter) {
  LockedFromSignals locked(turn_lock);
  return guest_of(waiter);
}

void guest_at_hook() {
  // A handler in a coroutine that has its worker still: the turn is the worker's.
  const Coroutine* self = thread_state.identity;
  if (self && !self->pinned && self->carrier->worker) return;
  Guest* guest = find_guest(own_waiter());
  if (!guest) return;
  await_turn(guest);
  {
    LockedFromSignals locked(turn_lock);
    if (holder == guest) pass(guest, worker_wants_turn());
  }
  await_turn(guest);
}

}  // namespace

void chaos_init() {
  const char* wanted = options.chaos;
  if (!wanted || !*wanted) return;
  const char* at = wanted;
  for (; *at >= '0' && *at <= '9'; at++) seed = seed * 10 + (uint64_t)(*at - '0');
  if (at == wanted || (*at && *at != ':')) {
    log(Level::error, "WEFT_CHAOS: '%s' is not SEED[:FILE] with a number; it is ignored", wanted);
    return;
  }
  if (*at == ':' && at[1]) log_path = at + 1;
  chaos = true;
}

void chaos_begin(unsigned workers) {
  if (!chaos) return;
  seed_states();
  begun_by = sys::getpid();
  turn_budget = 1;
  for (unsigned i = 0; i < workers; i++) worker_at(i)->preempt.store(1, std::memory_order_relaxed);
  chaos_turns = workers == 1;
  if (!chaos_turns) return;
  if (Guest* guest = find_guest(own_waiter())) await_turn(guest);
}

void chaos_reset() {
  if (!chaos) return;
  log_lock.reset();
  turn_lock.reset();
  if (log_fd >= 0 && !thread_state.descriptors_apart) sys::close(log_fd);
  log_fd = -1;
  chaos_turns = false;
  for (unsigned i = 0; i < guest_count; i++) guests[i].queued = false;
  guest_count = queued = 0;
  holder = nullptr;
}

uint32_t chaos_draw(const Worker* worker, uint32_t choices) {
  std::atomic<uint64_t>& state = states[chaos_turns ? 0 : worker ? worker->index : kMaxWorkers];
  // splitmix64
  uint64_t z = state.fetch_add(0x9e3779b97f4a7c15u, std::memory_order_relaxed) + 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ z >> 31) >> 32) % choices;
}

void chaos_write(const Worker* worker, const char* what, uint32_t who) {
  if (!log_path || thread_state.descriptors_apart) return;
  char line[96];
  unsigned length = worker ? format_text(line, sizeof line, "worker %u: %s %u\n", worker->index, what, who)
                           : format_text(line, sizeof line, "%s %u\n", what, who);
  LockedFromSignals locked(log_lock);
  if (log_fd < 0) open_log();
  if (log_fd >= 0) sys::write(log_fd, line, length);
}

void chaos_at_hook_slow() {
  if (thread_state.of_runtime || thread_state.vfork_child || thread_state.lot_depth || !runtime_started()) return;
  if (begun_by != sys::getpid()) return;
  if (Coroutine* self = woven()) {
    if (!self->region_depth) give_way(self);
  } else if (chaos_turns) {
    guest_at_hook();
  }
}

void turn_await() {
  for (;;) {
    uint32_t rung = worker_turn.bell.load(std::memory_order_acquire);
    {
      LockedFromSignals locked(turn_lock);
      if (!holder) {
        give(&worker_turn);
      } else if (holder == &worker_turn && !turn_is_new && queued) {
        turns++;
        uint32_t chosen = chaos_draw(nullptr, queued + 1);
        if (chosen < queued) give(queue[chosen]);
      }
      if (holder == &worker_turn) {
        turn_is_new = false;
        return;
      }
    }
    sys::futex_wait(&worker_turn.bell, rung);
  }
}

void turn_end() {
  LockedFromSignals locked(turn_lock);
  if (holder == &worker_turn) pass(nullptr, false);
}

void turn_guest_waits(const Waiter* waiter) {
  LockedFromSignals locked(turn_lock);
  Guest* guest = guest_of(waiter);
  if (guest && holder == guest) pass(nullptr, worker_wants_turn());
}

void turn_guest_ready(const Waiter* waiter) {
  LockedFromSignals locked(turn_lock);
  Guest* guest = guest_of(waiter);
  if (!guest || holder == guest) return;
  if (holder)
    enqueue(guest);
  else
    give(guest);
}

void turn_guest_awaits(const Waiter* waiter) {
  if (Guest* guest = find_guest(waiter)) await_turn(guest);
}

bool turn_look() {
  Locked locked(turn_lock);
  Guest* guest = holder;
  if (!guest || guest == &worker_turn) return false;
  if (turns != looks.turns) {
    looks = {turns, kernel_thread_cpu_time(guest->tid), 0};
    return true;
  }
  looks.asleep = kernel_thread_sleeps(guest->tid) ? looks.asleep + 1 : 0;
  if (looks.asleep >= kLooksAsleep || kernel_thread_cpu_time(guest->tid) - looks.cpu >= kLongest) {
    chaos_write(nullptr, "no use of the turn by guest", (uint32_t)(guest - guests));
    pass(nullptr, worker_wants_turn());
  }
  return holder != nullptr;
}

}  // namespace weft
