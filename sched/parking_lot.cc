// SPDX-License-Identifier: Apache-2.0
// The parking lot: a fixed table of buckets, each with a lock, a queue and the number of waiters in it or about to be.
//
// Races, and who must win:
//   park, unpark      The waiter counts itself, then validates; the waker changes the object, then reads the count.
//                     Each has a full barrier in between: the validation sees the change or the waker the waiter.
//   unpark, timeout   The compare-exchange of wake() decides. A picked waiter whose wait had ended before is not
//                     woken: the waker takes the next.
//   unpark, owner     A node dies when its owner runs: it is copied, then unlinked, and woken after the lock. A guest is
//                     woken under it: its thread may end, and the waiter's memory go, once its node is out of the queue.
//   requeue, owner    The key in the node names the bucket; whoever locked the wrong one looks again.
//   signal handler    It may interrupt a guest that holds a bucket. `lot_depth` says so, and the handler's wake waits
//                     for the end of the interrupted operation.
//
// Rejected: a table that grows. A hundred thousand waiters share few keys or are spread over all queues.
#include "sched/parking_lot.h"

#include "asm/cpu.h"
#include "sched/clock.h"
#include "sched/large.h"
#include "sched/metrics.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

namespace {

struct alignas(64) Bucket {
  Lock lock;
  std::atomic<uint32_t> waiters{0};  // in the queue or about to be; written under lock
  WaitQueue queue;                   // guarded by lock, as is what follows
  uint64_t arrivals = 0;             // numbers of its nodes, which are in the queue in their order

  void push(WaitNode* node) {
    node->number = ++arrivals;
    queue.push(node);
  }
};

constexpr unsigned kBucketBits = 12;
WEFT_LARGE constinit Bucket buckets[1 << kBucketBits];
constexpr unsigned kDeferredRoom = sizeof(ThreadState::deferred) / sizeof(uint64_t);
constexpr unsigned kPickAtOnce = 32;

Bucket& bucket_of(uint64_t key) { return buckets[key * 0x9e3779b97f4a7c15u >> (64 - kBucketBits)]; }

// From here to unguard() a signal handler of this thread defers its wakes.
void guard() {
  thread_state.lot_depth++;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void wake_everybody() {
  for (Bucket& bucket : buckets) {
    if (!bucket.waiters.load(std::memory_order_relaxed)) continue;
    Locked locked(bucket.lock);
    for (WaitNode* node = bucket.queue.head; node; node = node->next) wake(node, Wake::unparked);
  }
}

void run_deferred() {
  ThreadState& state = thread_state;
  uint64_t keys[kDeferredRoom];
  unsigned wanted = state.deferred_wakes;
  for (unsigned i = 0; i < wanted && i < kDeferredRoom; i++) keys[i] = state.deferred[i];
  state.deferred_wakes = 0;
  if (wanted > kDeferredRoom) {
    // More than there is room for: every park is a hint, so waking all of them loses none.
    guard();
    wake_everybody();
    state.lot_depth--;
    return;
  }
  for (unsigned i = 0; i < wanted; i++) unpark(keys[i], (KeyKind)(keys[i] >> 56) == KeyKind::semaphore ? 1 : ~0u);
}

void unguard() {
  ThreadState& state = thread_state;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.lot_depth--;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  while (!state.lot_depth && state.deferred_wakes) [[unlikely]] run_deferred();
}

void defer(uint64_t key) {
  ThreadState& state = thread_state;
  if (state.deferred_wakes < kDeferredRoom) state.deferred[state.deferred_wakes] = key;
  if (state.deferred_wakes <= kDeferredRoom) state.deferred_wakes++;
}

void remove_locked(Bucket& bucket, WaitNode* node) {
  bucket.queue.remove(node);
  bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
}

uint64_t key_of(const WaitNode* node) { return __atomic_load_n(&node->key, __ATOMIC_RELAXED); }

// The bucket the node is in, or was in last, locked.
Bucket& lock_bucket_of(WaitNode* node) {
  for (;;) {
    uint64_t key = key_of(node);
    Bucket& bucket = bucket_of(key);
    bucket.lock.lock();
    if (key_of(node) == key) return bucket;
    bucket.lock.unlock();
  }
}

void unlink(WaitNode* node) {
  guard();
  Bucket& bucket = lock_bucket_of(node);
  if (node->linked) remove_locked(bucket, node);
  bucket.lock.unlock();
  unguard();
}

bool matches(const WaitNode* node, uint64_t key, uint32_t tags) {
  return node->key == key && (!tags || (node->tag & tags));
}

// A pinned coroutine's waits end by co_cancel and its deadline as a woven one's do.
Wake block_thread(Waiter* waiter, const ParkRequest& request) {
  count(Metric::guest_parks);
  const Coroutine* pinned = waiter->coroutine;
  if (!pinned || !ends_by_cancel(request.kind)) return block_kernel_thread(waiter, request.deadline);
  if (calls_end_with(pinned)) interrupt(waiter);
  bool limited = pinned->calls_deadline < request.deadline;
  Wake reason = block_kernel_thread(waiter, limited ? pinned->calls_deadline : request.deadline);
  return limited && reason == Wake::timed_out ? Wake::interrupted : reason;
}

// The interrupted wait goes on: its node gets a new ticket and keeps its place. False: it was picked meanwhile, which
// ends it.
bool renew(WaitNode* node, const ParkRequest& request) {
  guard();
  Bucket& bucket = lock_bucket_of(node);
  bool linked = node->linked;
  if (linked) node->ticket = node->waiter->begin(request.interruptible);
  bucket.lock.unlock();
  unguard();
  return linked;
}

Parked wait_in_queue(Coroutine*& self, WaitNode* node, const ParkRequest& request) {
  for (;;) {
    Wake reason = block(self, node->waiter, node->ticket, request);
    if (reason == Wake::unparked) return Parked::unparked;
    if (reason == Wake::timed_out) return Parked::timed_out;
    if (!request.resume) return Parked::interrupted;
    if (self) leave(self);
    bool goes_on = request.resume(request.argument);
    self = woven();  // a handler may have pinned it
    if (self) enter(self);
    if (!goes_on) return Parked::interrupted;
    if (!renew(node, request)) return Parked::unparked;
  }
}

}  // namespace

// A coroutine in a signal window is a kernel thread for the time being, but its own waiter would make it ready.
Waiter* waiter_of_caller(Coroutine* self) {
  if (self) return &self->waiter;
  Coroutine* identity = thread_state.identity;
  return identity && identity->pinned ? &identity->waiter : &thread_state.guest_waiter;
}

Wake block(Coroutine* self, Waiter* waiter, uint64_t ticket, const ParkRequest& request) {
  if (!self) return block_thread(waiter, request);
  will_wait_on(self, request.kind, (const void*)request.object);
  return block_coroutine(self, ticket, request.deadline);
}

Parked park(const ParkRequest& request) {
  Coroutine* self = woven();
  if (self) enter(self);
  WaitNode node;
  node.waiter = waiter_of_caller(self);
  node.ticket = node.waiter->begin(request.interruptible);
  node.key = request.key;
  node.tag = request.tag;

  guard();
  Bucket& bucket = bucket_of(request.key);
  bucket.lock.lock();
  bucket.waiters.fetch_add(1);  // before the validation; pairs with the waker's barrier in has_waiters()
  cpu::fence_after_atomic();
  bool waits = !request.validate || request.validate(request.argument);
  if (waits)
    bucket.push(&node);
  else
    bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
  bucket.lock.unlock();
  unguard();

  Parked result = Parked::invalid;
  if (waits) {
    if (request.before_sleep) request.before_sleep(request.argument);
    result = wait_in_queue(self, &node, request);
    // A waker unlinks before it wakes. Whoever ended the wait otherwise has left the node where it was.
    if (result != Parked::unparked || node.linked) unlink(&node);
  } else {
    node.waiter->begin(false);  // nobody shall think that he has ended this wait
  }
  if (self) leave(self);
  return result;
}

unsigned unpark(uint64_t key, unsigned limit, uint32_t tags) {
  if (thread_state.lot_depth) [[unlikely]] {
    defer(key);
    return 0;
  }
  Bucket& bucket = bucket_of(key);
  struct Picked {
    Waiter* waiter;
    uint64_t ticket;
  } picked[kPickAtOnce];
  unsigned woken = 0;
  uint64_t last = 0;  // of those there at the beginning: a woken one that parks again is not picked twice
  bool more = true;
  guard();
  while (woken < limit && more) {
    unsigned wanted = limit - woken < kPickAtOnce ? limit - woken : kPickAtOnce;
    unsigned found = 0, coroutines = 0;
    more = false;
    bucket.lock.lock();
    if (!last) last = bucket.arrivals;
    for (WaitNode *node = bucket.queue.head, *next; node && node->number <= last; node = next) {
      next = node->next;
      if (!matches(node, key, tags)) continue;
      if (found == wanted) {
        more = true;
        break;
      }
      found++;
      Waiter* waiter = node->waiter;
      uint64_t ticket = node->ticket;
      remove_locked(bucket, node);
      if (waiter->coroutine)
        picked[coroutines++] = {waiter, ticket};
      else
        woken += wake(waiter, ticket, Wake::unparked);
    }
    bucket.lock.unlock();
    for (unsigned i = 0; i < coroutines; i++) woken += wake(picked[i].waiter, picked[i].ticket, Wake::unparked);
  }
  unguard();
  return woken;
}

unsigned requeue(uint64_t from, uint64_t to, unsigned limit) {
  Bucket& source = bucket_of(from);
  Bucket& target = bucket_of(to);
  Bucket& first = &source < &target ? source : target;
  Bucket& second = &source < &target ? target : source;
  unsigned moved = 0;
  guard();
  first.lock.lock();
  if (&first != &second) second.lock.lock();
  for (WaitNode *node = source.queue.head, *next; node && moved < limit; node = next) {
    next = node->next;
    if (node->key != from) continue;
    if (&source != &target) {
      remove_locked(source, node);
      target.push(node);
      target.waiters.fetch_add(1, std::memory_order_relaxed);
    }
    __atomic_store_n(&node->key, to, __ATOMIC_RELAXED);
    moved++;
  }
  if (&first != &second) second.lock.unlock();
  first.lock.unlock();
  unguard();
  return moved;
}

bool has_waiters(uint64_t key) {
  cpu::fence_after_atomic();
  return bucket_of(key).waiters.load(std::memory_order_relaxed) != 0;
}

bool waits_locked(uint64_t key, uint32_t tags) {
  for (const WaitNode* node = bucket_of(key).queue.head; node; node = node->next)
    if (matches(node, key, tags)) return true;
  return false;
}

void with_bucket(uint64_t key, void (*change)(void*), void* argument) {
  guard();
  Bucket& bucket = bucket_of(key);
  bucket.lock.lock();
  change(argument);
  bucket.lock.unlock();
  unguard();
}

uint32_t parking_lot_generation;

void parking_lot_reset() {
  parking_lot_generation++;
  thread_state.lot_depth = thread_state.deferred_wakes = 0;
  for (Bucket& bucket : buckets) {
    bucket.lock.reset();
    bucket.waiters.store(0, std::memory_order_relaxed);
    bucket.queue = {};
    bucket.arrivals = 0;
  }
}

}  // namespace weft
