// SPDX-License-Identifier: Apache-2.0
// A coroutine: what a thread of the program has become. Also the table of all of them.
//
// Coroutines live in chunks that are never unmapped or moved, so a pointer to one stays readable for ever; ids are never reused.
// Its TLS block and stack are kept with it when it ends and are used again by the next coroutine that takes the slot.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "asm/context.h"
#include "sched/clock.h"
#include "sched/descriptor.h"
#include "sched/lock.h"
#include "sched/poller.h"
#include "sched/timers.h"
#include "sched/wait.h"

namespace weft {

struct Carrier;
struct SignalWindow;
struct Worker;

struct Scope;

// Waits of cancellation points; the others go on when a cancellation comes.
inline bool ends_by_cancel(WaitKind kind) {
  return kind == WaitKind::fd_read || kind == WaitKind::fd_write || kind == WaitKind::poll ||
         kind == WaitKind::condition || kind == WaitKind::sleep || kind == WaitKind::join ||
         kind == WaitKind::semaphore || kind == WaitKind::signal || kind >= WaitKind::suspend;
}

struct alignas(64) Coroutine {
  // first line: what its wake-up and the switch to it touch
  Context context;
  std::atomic<State> state;
  std::atomic<uint8_t> wait_kind;  // WaitKind
  bool pinned;                     // its carrier runs nothing else
  std::atomic<bool> asked;         // to give way at its next woven call, or to get a worker first
  Carrier* carrier;                // set by whoever switches to it, before the switch
  Coroutine* next;                 // link of the one queue it is in
  Waiter waiter;
  Worker* worker;  // where it runs, or ran last

  // second and third line: what a wait for a descriptor touches besides
  int32_t wait_fd;
  std::atomic<int32_t> follower;  // distance to one queued some places behind it, now or once; see fetch_ahead()
  std::atomic<int8_t> priority;   // CO_PRIORITY_…
  uint8_t group;                  // of workers that run it
  uint8_t handlers_ran;           // since its last wait began: bits of sched/signals.h; own thread only
  uint8_t cancel_state;           // PTHREAD_CANCEL_ENABLE or DISABLE
  uint8_t cancel_type;
  std::atomic<uint8_t> cancel_pending;
  bool rescued;      // the monitor has looked at this wait already
  PollWait fd_wait;  // its place in the queue of the one descriptor it waits for: not on its stack, whose page is cold
  uint64_t since;    // start of this wait or region, coarse; of a poll that waits several times, of the first
  uint64_t calls_deadline;          // co_with_deadline's: waits of cancellation points end then; own thread only
  std::atomic<uint64_t> calls_end;  // generation << 32 | error that they end with since co_cancel; 0: they do not
  std::atomic<uint64_t> signals_pending;
  uint32_t shields;  // co_shield's, one in another
  uint32_t budget;   // woven calls that may still succeed before others get their turn

  Timer timer;
  const void* wait_object;

  uint32_t id;
  int32_t tid;  // in the TCB and for gettid(): above every pid
  uint32_t region_depth;

  // the thread it stands for
  void* (*start)(void*);
  void* argument;
  void* result;
  std::atomic<uint8_t> ending;  // bits below
  uint8_t native_style;         // C11 start routine: result is an int
  uint64_t signal_mask;         // own thread only, but read by senders
  Lock signal_lock;             // guards signal_info
  void* signal_info;            // queued siginfo of this coroutine, newest first
  int32_t signal_tid;  // kernel thread that has its mask while a window is open or it is pinned; guarded by signal_lock
  uint64_t signals_handed;  // sent to that kernel thread, perhaps not delivered yet; guarded by signal_lock
  SignalWindow* window;     // own thread only; see sched/signals.h
  bool in_fault_handler;    // in one that was entered without a window; own thread only
  void* alternate_stack;    // sigaltstack's, own thread only; size 0: none
  uint64_t alternate_size;
  int alternate_flags;
  char name[16];

  // its memory
  char* stack_low;      // lowest usable byte, above the guard
  uint64_t stack_size;  // from there to the end of the TCB; what the program asked for
  uint64_t guard_size;
  void* tcb;
  void* supplied_stack;  // the program's own (pthread_attr_setstack), else null
  uint64_t supplied_size;
  char* saved_low;  // stack_low, stack_size of the block while a supplied stack is used
  uint64_t saved_size;

  bool tls_is_stale;    // modules loaded since may have left something in the block
  bool is_listed;       // its block is in glibc's list of threads
  bool has_block;       // a TLS block and stack are there, from an earlier coroutine of this slot
  uint64_t idle_wait;   // the monitor's alone; see idle_stacks.cc
  uint32_t slot;        // its place in the table
  uint32_t generation;  // coroutines that have had this slot

  // for the calls of weft/co.h alone
  std::atomic<uint64_t> permit;  // generation << 32 | 1: co_resume has come
  int32_t told;  // the error of calls_end or calls_deadline that a condition variable gave last, and which one it was;
  const void* told_by;    // own thread only
  Scope* scope;           // whose child it is, or null
  Coroutine* next_child;  // the scope's list, guarded by its lock
  Coroutine* previous_child;

  // for the inspector alone
  const PollWait* wait_list;  // of a wait for several descriptors: so many places, on its stack
  uint32_t wait_count;
  PinReason pin_reason;
  const void* creation_pc;            // where the call that made it returns to
  uint32_t creator;                   // id; 0: a kernel thread of the program
  uint64_t born;                      // coarse_now
  std::atomic<uint64_t> run_time;     // nanoseconds, as the monitor samples it, which may come to it late
  std::atomic<uint64_t> longest_run;  // the same
  uint64_t stack_reached;  // most bytes of the stack that were in use when some were given back; the monitor's

  static constexpr uint8_t kDetached = 1;  // nobody joins it
  static constexpr uint8_t kFinished = 2;  // its stack has been left for good
  static constexpr uint8_t kJoined = 4;    // somebody has its result
  static constexpr uint8_t kJoining = 8;   // somebody waits for its end
  static constexpr uint8_t kDeaf = 16;     // takes no more signals of the process: the relay passes it by
};

static_assert(offsetof(Coroutine, wait_fd) == 64 && offsetof(Coroutine, timer) == 192);

// What it is about to wait for, as those see it who look at it.
inline void will_wait(Coroutine* self, WaitKind kind, uint64_t since = coarse_now.load(std::memory_order_relaxed)) {
  __atomic_store_n(&self->since, since, __ATOMIC_RELAXED);
  self->wait_kind.store((uint8_t)kind, std::memory_order_relaxed);
}
inline void will_wait_on(Coroutine* self, WaitKind kind, const void* object) {
  self->wait_object = object;
  will_wait(self, kind);
}

inline bool cancel_wanted(const Coroutine* self) {
  return self->cancel_pending.load(std::memory_order_relaxed) && self->cancel_state == 0 /* PTHREAD_CANCEL_ENABLE */;
}
// As the program asked for by pthread_setcanceltype: wherever it is, not only at cancellation points.
inline bool cancel_wanted_at_once(const Coroutine* self) {
  return cancel_wanted(self) && self->cancel_type == 1 /* PTHREAD_CANCEL_ASYNCHRONOUS */;
}
// The error that its waits at cancellation points end with since a co_cancel; 0: they do not.
inline int calls_end_with(const Coroutine* self) {
  return self->shields ? 0 : (int)(uint32_t)self->calls_end.load(std::memory_order_relaxed);
}
// Does a cancellation that is pending end its wait of this kind?
inline bool cancel_ends(const Coroutine* self, WaitKind kind) {
  if (calls_end_with(self) && ends_by_cancel(kind)) return true;
  if (!cancel_wanted(self)) return false;
  return ends_by_cancel(kind) ||
         (cancel_wanted_at_once(self) && (kind == WaitKind::lock || kind == WaitKind::rwlock_read ||
                                          kind == WaitKind::rwlock_write || kind == WaitKind::once));
}
inline bool signals_wanted(const Coroutine* self) {
  uint64_t pending = self->signals_pending.load(std::memory_order_relaxed);
  return pending && (pending & ~__atomic_load_n(&self->signal_mask, __ATOMIC_RELAXED));
}

// All of them, finished and free ones too, for the monitor, fork and the inspector. Index below coroutine_slots().
Coroutine* coroutine_at(uint32_t index);
uint32_t coroutine_slots();

// The live coroutine whose gettid() is `tid`, null if there is none.
Coroutine* coroutine_by_tid(int tid);

// The coroutine of a pthread_t, null if it is a native thread's.
Coroutine* coroutine_of(unsigned long pthread);

void set_name(Coroutine* coroutine, const char* name);  // at most 15 bytes of it

struct SpawnAttributes {
  uint64_t stack_size = 0;  // bytes; 0: the default
  uint64_t guard_size = 4096;
  void* stack = nullptr;  // the program's own: lowest address
  bool detached = false;
  bool c11 = false;
  const uint64_t* signal_mask = nullptr;  // null: the creator's
  const void* creation_pc = nullptr;      // where the program's call returns to
  const char* name = nullptr;             // null: the creator's
  int8_t priority = 0;                    // CO_PRIORITY_…
  int group = -1;                         // of workers; -1: the creator's
  bool newest_first = false;              // where many are ready, before those that were made before it
  Scope* scope = nullptr;                 // whose child it is
  uint64_t* handle = nullptr;             // set before it can run
};

// A coroutine as a number that is never used again: its generation and its place in the table. 0: none.
inline uint64_t handle_of(const Coroutine* coroutine) {
  return (uint64_t)coroutine->generation << 32 | (coroutine->slot + 1);
}
// The coroutine of a handle; null where it has been joined, or has ended and nobody was to join it.
Coroutine* coroutine_of_handle(uint64_t handle);

// Makes a coroutine and lets it run. 0, or EAGAIN/ENOMEM as pthread_create says them. *pthread is set before it can run.
int spawn(unsigned long* pthread, void* (*start)(void*), void* argument, const SpawnAttributes& attributes);

// Ends the running coroutine after its destructors; does not return. Own thread only.
[[noreturn]] void finish_current(void* result);

// Join of a coroutine by a coroutine or guest: 0, EDEADLK, EINVAL (detached or being joined), ETIMEDOUT, or EINTR when a
// cancellation is to be acted on. `deadline` kNever: no limit; 0: EBUSY at once where it has not ended.
int join(Coroutine* target, void** result, uint64_t deadline);
int detach(Coroutine* target);

// Puts back a coroutine whose thread is over and joined.
void release(Coroutine* coroutine);

// Number of coroutines that have not ended.
uint32_t live_coroutines();

// The same and more, found by looking at all of them. While others run it is out of date at once.
struct Counted {
  uint32_t alive, waiting;
};
Counted coroutines_counted();

// For the monitor. The blocks that nobody has taken since the last call are surplus, all but a few. True: a later call may find more.
bool coroutines_count_surplus();
// Gives the memory of one surplus block back. False: there is none left, or no thread was to be had for it.
bool coroutine_bury();

void coroutines_reset();  // fork child: forgets them all

}  // namespace weft
