// SPDX-License-Identifier: Apache-2.0
// The table of coroutines, their pool, and the life of one from spawn to release.
#include "sched/coroutine.h"

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <setjmp.h>
#include <sys/prctl.h>
#include <pthread.h>

#include "sched/carrier.h"
#include "sched/clock.h"
#include "sched/context_switch.h"
#include "sched/handler_entry.h"
#include "sched/inspected.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/monitor.h"
#include "sched/options.h"
#include "sched/parking_lot.h"
#include "sched/reserve.h"
#include "sched/runtime.h"
#include "sched/scope.h"
#include "sched/signals.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/trace.h"

namespace weft {

WEFT_LARGE Coroutine* chunks[kMaxChunks];
std::atomic<uint32_t> slots{0};

namespace {

constexpr uint32_t kMaxCoroutines = kChunk * kMaxChunks;  // 2^22
constexpr int32_t kFirstTid = 1 << 23;                    // above every pid the kernel gives
constexpr uint32_t kTidGenerations = 200;                 // keeps tids below FUTEX_TID_MASK

std::atomic<uint32_t> live{0};
std::atomic<uint32_t> last_id{0};

// Pooled coroutines by stack size and guard, last in first out: their upper pages are warm. A program may ask for any number of different
// sizes: those beyond the table are rounded up to powers of two, so that their blocks too are found again.
struct Pool {
  uint64_t size = 0;
  uint64_t guard = 0;
  Coroutine* first = nullptr;
  Coroutine* bare = nullptr;  // without a block: buried, or there was no memory for one
  uint32_t pooled = 0;        // from `first` on
  uint32_t least = 0;         // of `pooled`, since the last coroutines_count_surplus()
  uint32_t surplus = 0;       // of these so many are to be buried, but not the last kWarm
  Pool* next = nullptr;       // of those that have been used
};
constexpr uint32_t kWarm = 64;  // blocks of one kind that are kept for good
constexpr unsigned kPools = 32;
constexpr unsigned kPowers = 36;  // from a page up
constexpr uint64_t kPage = 4096;
constexpr uint64_t kLargest = kPage << (kPowers - 1);  // stack or guard
WEFT_LARGE Pool pools[kPools];
WEFT_LARGE Pool rounded_pools[kPowers][kPowers];
Lock pool_lock;    // guards the pools and the growth of the table
Pool* used_pools;  // guarded by pool_lock

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Where blocks of this kind are kept. Null: nowhere, they have to be rounded up.
Pool* pool_locked(uint64_t size, uint64_t guard) {
  auto begin = [&](Pool& pool) {
    pool = {.size = size, .guard = guard, .next = used_pools};
    used_pools = &pool;
  };
  for (Pool& pool : pools) {
    if (!pool.size) begin(pool);
    if (pool.size == size && pool.guard == guard) return &pool;
  }
  if (!std::has_single_bit(size) || !std::has_single_bit(guard)) return nullptr;
  Pool& pool = rounded_pools[std::countr_zero(size / kPage)][std::countr_zero(guard / kPage)];
  if (!pool.size) begin(pool);
  return &pool;
}

Coroutine* pop_locked(Coroutine*& list) {
  Coroutine* coroutine = list;
  if (coroutine) list = coroutine->next;
  return coroutine;
}
void push_locked(Coroutine*& list, Coroutine* coroutine) {
  coroutine->next = list;
  list = coroutine;
}

// One with a block.
Coroutine* pop_block_locked(Pool* pool) {
  Coroutine* coroutine = pop_locked(pool->first);
  if (coroutine && --pool->pooled < pool->least) pool->least = pool->pooled;
  return coroutine;
}
void push_block_locked(Pool* pool, Coroutine* coroutine) {
  push_locked(pool->first, coroutine);
  pool->pooled++;
}

Coroutine* new_slot_locked() {
  uint32_t index = slots.load(std::memory_order_relaxed);
  if (index == kMaxCoroutines) return nullptr;
  Coroutine*& chunk = chunks[index / kChunk];
  if (!chunk) {
    chunk = (Coroutine*)reserve(kChunk * sizeof(Coroutine));
    if (!chunk) return nullptr;
  }
  Coroutine* coroutine = &chunk[index % kChunk];
  coroutine->slot = index;
  // Release: whoever reads the number finds the chunk.
  slots.store(index + 1, std::memory_order_release);
  return coroutine;
}

// A coroutine with a stack of `size` usable bytes and a TLS block on it. Null: no memory.
Coroutine* obtain(uint64_t size, uint64_t guard) {
  Coroutine* coroutine = nullptr;
  pool_lock.lock();
  Pool* pool = pool_locked(size, guard);
  if (!pool) {
    size = std::bit_ceil(size);
    guard = std::bit_ceil(guard);
    pool = pool_locked(size, guard);
  }
  coroutine = pop_block_locked(pool);
  if (!coroutine) coroutine = pop_locked(pool->bare);
  if (!coroutine) coroutine = new_slot_locked();
  pool_lock.unlock();
  if (!coroutine) return nullptr;
  if (coroutine->has_block) {
    tls_block_renew(coroutine);
    count(Metric::blocks_reused);
    return coroutine;
  }
  bool complete = true;
  if (!coroutine->saved_low) {
    StackMemory stack;
    complete = stack_allocate(size, guard, &stack);
    if (complete) {
      coroutine->saved_size = stack.size;
      coroutine->guard_size = guard;
      __atomic_store_n(&coroutine->saved_low, stack.low, __ATOMIC_RELEASE);  // pairs with executable_stacks.cc
    }
  }
  if (!complete || tls_block_make(coroutine, coroutine->saved_low, coroutine->saved_size)) {
    // The slot waits in the pool for better times.
    Locked locked(pool_lock);
    push_locked(pool->bare, coroutine);
    return nullptr;
  }
  coroutine->has_block = true;
  return coroutine;
}

uint64_t default_stack_size() {
  pthread_attr_t attributes;
  size_t size = 8 << 20;
  if (pthread_getattr_default_np(&attributes) == 0) {
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
  }
  return size;
}

// Small stacks get room for the frames of hooks on top of what was asked for: virtual only.
constexpr uint64_t kHookRoom = 16 << 10;

// Where pointers of this coroutine may be: its stack, and its block if that is elsewhere.
void each_root(const Coroutine* coroutine, void (*call)(const void*, size_t)) {
  if (!call) [[likely]]
    return;
  call(coroutine->stack_low, coroutine->stack_size);
  if (coroutine->supplied_stack) call(coroutine->saved_low, coroutine->saved_size);
}

}  // namespace

Coroutine* coroutine_at(uint32_t index) { return &chunks[index / kChunk][index % kChunk]; }
uint32_t coroutine_slots() { return slots.load(std::memory_order_acquire); }
uint32_t live_coroutines() { return live.load(std::memory_order_acquire); }

Coroutine* coroutine_by_tid(int tid) {
  if (tid < kFirstTid) return nullptr;
  uint32_t index = (uint32_t)(tid - kFirstTid) % kMaxCoroutines;
  if (index >= coroutine_slots()) return nullptr;
  Coroutine* coroutine = coroutine_at(index);
  if (coroutine->tid != tid || coroutine->state.load(std::memory_order_relaxed) == State::free) return nullptr;
  // The kernel forgets a thread's number with its end, whether or not it has been joined.
  return coroutine->ending.load(std::memory_order_acquire) & Coroutine::kFinished ? nullptr : coroutine;
}

Coroutine* coroutine_of(unsigned long pthread) {
  if (!pthread) return nullptr;
  // weft's own variable lies at the same distance from the thread pointer in every thread.
  char* mine = (char*)&thread_state;
  return ((ThreadState*)(thread_pointer_of((void*)pthread) + (mine - (char*)__builtin_thread_pointer())))->identity;
}

Coroutine* coroutine_of_handle(uint64_t handle) {
  uint32_t index = (uint32_t)handle - 1;
  if (index >= coroutine_slots()) return nullptr;
  Coroutine* coroutine = coroutine_at(index);
  bool gone = coroutine->state.load(std::memory_order_acquire) == State::free;
  return gone || __atomic_load_n(&coroutine->generation, __ATOMIC_RELAXED) != (uint32_t)(handle >> 32) ? nullptr
                                                                                                       : coroutine;
}

Counted coroutines_counted() {
  Counted counted = {};
  for (uint32_t i = 0, all = coroutine_slots(); i < all; i++) {
    const Coroutine* coroutine = coroutine_at(i);
    State state = coroutine->state.load(std::memory_order_relaxed);
    if (state == State::free || state == State::finished) continue;
    counted.alive++;
    auto kind = (WaitKind)coroutine->wait_kind.load(std::memory_order_relaxed);
    counted.waiting += kind != WaitKind::none && kind != WaitKind::region;
  }
  return counted;
}

void set_name(Coroutine* coroutine, const char* name) {
  size_t length = strnlen(name, sizeof coroutine->name - 1);
  memcpy(coroutine->name, name, length);
  memset(coroutine->name + length, 0, sizeof coroutine->name - length);
}

int spawn(unsigned long* pthread, void* (*start)(void*), void* argument, const SpawnAttributes& attributes) {
  static uint64_t default_size;
  uint64_t size = options.stack;
  if (!size || attributes.stack) {
    size = attributes.stack_size;
    if (!size) {
      if (!default_size) default_size = default_stack_size();
      size = default_size;
    }
  }
  // As glibc: static TLS lies on the stack, and something has to be left.
  constexpr uint64_t kLeast = 2048;
  if (attributes.stack) {
    if (size < tls_static_size() + kLeast) return EINVAL;
    size = tls_block_size() + (16 << 10);  // the TLS block alone lives there
  } else if (!options.stack && size < round_up(attributes.guard_size + tls_static_size() + kLeast, kPage)) {
    return EINVAL;
  }
  if (size > kLargest || attributes.guard_size > kLargest) return EAGAIN;
  size = round_up(size, kPage);
  if (size < 64 << 10) size += kHookRoom;
  uint64_t least = round_up(tls_block_size() + kHookRoom, kPage);
  if (size < least) size = least;
  uint64_t guard = round_up(attributes.guard_size, kPage);
  if (options.stack && guard < size) size -= guard;  // SIZE is what a coroutine costs in address space
  Coroutine* self = obtain(size, guard ? guard : kPage);
  if (!self) return EAGAIN;

  self->generation++;
  self->tid = kFirstTid + (int32_t)(self->generation % kTidGenerations * kMaxCoroutines + self->slot);
  __atomic_store_n(&self->id, last_id.fetch_add(1, std::memory_order_relaxed) + 1,
                   __ATOMIC_RELAXED);  // the monitor reads it
  self->start = start;
  self->argument = argument;
  self->result = PTHREAD_CANCELED;  // what a cancellation past the hooks leaves
  self->carrier = nullptr;
  self->worker = nullptr;
  self->waiter.coroutine = self;
  self->timer.heap = nullptr;
  self->pinned = false;
  self->pin_reason = PinReason::none;
  self->region_depth = 0;
  self->native_style = attributes.c11;
  self->cancel_state = self->cancel_type = 0;
  self->cancel_pending.store(0, std::memory_order_relaxed);
  self->ending.store(attributes.detached ? Coroutine::kDetached : 0, std::memory_order_relaxed);
  self->supplied_stack = attributes.stack;
  self->supplied_size = attributes.stack ? attributes.stack_size : 0;
  if (attributes.stack) {
    self->stack_low = (char*)attributes.stack;
    self->stack_size = attributes.stack_size;
  } else {
    self->stack_low = self->saved_low;
    self->stack_size = self->saved_size;
  }
  self->calls_deadline = kNever;
  self->calls_end.store((uint64_t)self->generation << 32, std::memory_order_relaxed);
  self->permit.store((uint64_t)self->generation << 32, std::memory_order_relaxed);
  self->shields = 0;
  self->told_by = nullptr;
  self->scope = attributes.scope;
  self->priority.store(attributes.priority, std::memory_order_relaxed);
  Coroutine* creator = thread_state.identity;
  self->group = attributes.group >= 0 ? (uint8_t)attributes.group : creator ? creator->group : 0;
  self->creation_pc = attributes.creation_pc;
  self->creator = creator ? creator->id : 0;
  self->born = coarse_now.load(std::memory_order_relaxed);
  self->run_time.store(0, std::memory_order_relaxed);
  self->longest_run.store(0, std::memory_order_relaxed);
  self->stack_reached = 0;
  if (attributes.name)
    set_name(self, attributes.name);
  else if (creator)
    memcpy(self->name, creator->name, sizeof self->name);
  else
    sys::call(SYS_prctl, PR_GET_NAME, sys::word(self->name));
  uint64_t mask;
  if (attributes.signal_mask)
    mask = *attributes.signal_mask;
  else if (creator && thread_state.woven)
    mask = creator->signal_mask;
  else
    sys::sigprocmask(0, nullptr, &mask);
  __atomic_store_n(&self->signal_mask, mask, __ATOMIC_RELAXED);
  signal_mask_in_use(mask);
  tls_block_prepare_frame(self);

  each_root(self, real_calls.leak_root_begins);
  if (pthread) *pthread = (unsigned long)self->tcb;
  if (attributes.handle) *attributes.handle = handle_of(self);
  if (self->scope) scope_enter(self->scope, self);
  live.fetch_add(1, std::memory_order_relaxed);
  count(Metric::coroutines_created);
  start_coroutine(self, attributes.newest_first);
  return 0;
}

void finish_current(void* result) {
  Coroutine* self = thread_state.identity;
  self->result = result;
  tls_block_run_destructors();
  if (self->pinned)
    tls_block_release_robust_mutexes(self);
  else
    signals_leave(self);
  tls_block_reset_modules(self);
  switch_finished(self);
}

void coroutine_gone(Coroutine* self) {
  forget_context(self->context.fs);
  count(Metric::coroutines_finished);
  WEFT_TRACE(nullptr, finish, self->id, 0, 0);
  uint64_t mask = self->signal_mask;  // no longer its own once it is given back
  self->state.store(State::finished, std::memory_order_relaxed);
  signals_end(self);
  each_root(self, real_calls.leak_root_ends);
  if (self->scope) scope_leave(self->scope, self, (int)(intptr_t)self->result);
  // Release: a joiner that sees the bit sees the result.
  uint8_t before = self->ending.fetch_or(Coroutine::kFinished, std::memory_order_acq_rel);
  // Who comes to join it from now on sees the bit and does not wait.
  if (before & Coroutine::kJoining)
    unpark(park_key(KeyKind::join, self), 1);
  else if (before & Coroutine::kDetached)
    release(self);
  // The monitor may find at any moment that nobody is left: the mask is there before the count says so.
  uint32_t left = live.load(std::memory_order_relaxed);
  do
    if (left == 1) runtime_ends_with(mask);
  while (!live.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (left == 1) runtime_check_main_exit();
}

int join(Coroutine* target, void** result, uint64_t deadline) {
  if (target == thread_state.identity) return EDEADLK;
  uint8_t before = target->ending.load(std::memory_order_acquire);
  do
    if (before & (Coroutine::kDetached | Coroutine::kJoining | Coroutine::kJoined)) return EINVAL;
  while (!target->ending.compare_exchange_weak(before, before | Coroutine::kJoining, std::memory_order_acq_rel));
  int error = 0;
  while (!(target->ending.load(std::memory_order_acquire) & Coroutine::kFinished)) {
    if (!deadline) {
      error = EBUSY;
      break;
    }
    Parked how = park(
        {.key = park_key(KeyKind::join, target),
         .kind = WaitKind::join,
         .object = target,
         .deadline = deadline,
         .interruptible = true,
         .validate =
             [](void* t) { return !(((Coroutine*)t)->ending.load(std::memory_order_acquire) & Coroutine::kFinished); },
         .argument = target});
    if (how == Parked::timed_out && !(target->ending.load(std::memory_order_acquire) & Coroutine::kFinished)) {
      error = ETIMEDOUT;
      break;
    }
    if (how == Parked::interrupted) {
      error = EINTR;
      break;
    }
  }
  if (error) {
    // Detached and ended meanwhile: it was left to the joiner.
    before = target->ending.fetch_and((uint8_t)~Coroutine::kJoining, std::memory_order_acq_rel);
    if ((before & Coroutine::kDetached) && (before & Coroutine::kFinished)) release(target);
    return error;
  }
  if (result) *result = target->result;
  target->ending.fetch_or(Coroutine::kJoined, std::memory_order_relaxed);
  release(target);
  return 0;
}

int detach(Coroutine* target) {
  uint8_t before = target->ending.fetch_or(Coroutine::kDetached, std::memory_order_acq_rel);
  if (before & Coroutine::kDetached) return EINVAL;
  // Whoever waits for its end goes on waiting, gets its result and gives it back.
  if ((before & Coroutine::kFinished) && !(before & Coroutine::kJoining)) release(target);
  return 0;
}

void release(Coroutine* coroutine) {
  Locked locked(pool_lock);
  coroutine->state.store(State::free, std::memory_order_relaxed);
  push_block_locked(pool_locked(coroutine->saved_size, coroutine->guard_size), coroutine);
}

bool coroutines_count_surplus() {
  Locked locked(pool_lock);
  bool going_down = false;
  for (Pool* pool = used_pools; pool; pool = pool->next) {
    pool->surplus = pool->least > kWarm ? pool->least - kWarm : 0;
    going_down = going_down || pool->pooled > kWarm;
    pool->least = pool->pooled;
  }
  return going_down;
}

bool coroutine_bury() {
  Coroutine* dead;
  Pool* pool;
  {
    Locked locked(pool_lock);
    for (pool = used_pools; pool && !(pool->surplus && pool->pooled > kWarm);) pool = pool->next;
    if (!pool) return false;
    pool->surplus--;
    dead = pop_block_locked(pool);
  }
  bool buried = tls_block_bury(dead);
  if (buried) {
    dead->has_block = false;
    stack_trim(dead->saved_low, dead->saved_size);
    count(Metric::blocks_buried);
  }
  Locked locked(pool_lock);
  if (buried)
    push_locked(pool->bare, dead);
  else
    push_block_locked(pool, dead);
  return buried;
}

void coroutines_reset() {
  pool_lock.reset();
  for (Pool* pool = used_pools; pool;) {
    Pool* next = pool->next;
    *pool = {};
    pool = next;
  }
  used_pools = nullptr;
  for (Coroutine*& chunk : chunks) chunk = nullptr;
  slots.store(0);
  live.store(0);
}

}  // namespace weft

// The first frame of every coroutine. pthread_exit and cancellation unwind to the buffer registered here as to that of a cleanup
// handler; glibc's own start routine would end the process, because it believes this to be its last thread.
extern "C" void weft_coroutine_main(void* argument, uintptr_t message) {
  using namespace weft;
  if (!argument) tls_block_self_test();
  auto* self = (Coroutine*)argument;
  coroutine_begins(self, message);
  tls_block_started(self);
  __pthread_unwind_buf_t buffer;
  if (!__sigsetjmp_cancel(buffer.__cancel_jmp_buf, 0)) {
    __pthread_register_cancel(&buffer);
    void* result = self->start(self->argument);
    __pthread_unregister_cancel(&buffer);
    self->result = self->native_style ? (void*)(intptr_t)(int)(intptr_t)result : result;
  } else {
    // Unwound, perhaps out of a blocking call.
    signal_window_leave(nullptr, true);
    handler_entry_left(self);
    regions_abandon();
  }
  if (thread_state.identity != self) {
    // The child of a fork in this coroutine: it is the only thread of its process.
    tls_block_run_destructors();
    exit(0);
  }
  finish_current(self->result);
}
