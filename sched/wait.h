// SPDX-License-Identifier: Apache-2.0
// One wait of one thread of control, and how it is ended exactly once.
//
//   Waiter    who waits: one in each coroutine, one in each guest's TLS. Never freed, so a late waker finds valid memory.
//   ticket    number of the wait; a waker that is late by a wait fails its compare-exchange on it
//   WaitNode  a place in one queue (of a lock, of a descriptor); lives on the waiter's stack, is touched only under the
//             queue's lock, and is out of every queue before the stack frame goes
//
// word: ticket << 8 | flags | reason. Wakers (unpark, timer, signal) race by compare-exchange from reason 0; one wins,
// and it alone makes the coroutine ready. A coroutine may be woken before it has left its stack: whoever runs next on the
// carrier sets kSwitchedOut, and the later of the two makes it ready.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft {

struct Coroutine;

enum class Wake : uint8_t {
  waiting = 0,
  unparked = 1,     // by a waker of the queue it was in
  timed_out = 2,    // its deadline came
  interrupted = 3,  // a signal or a cancellation is pending for it
};

constexpr uint64_t kNever = ~uint64_t{0};  // a deadline that does not come

struct Waiter {
  static constexpr uint64_t kReasonMask = 0x0f;
  static constexpr uint64_t kSwitchedOut = 0x10;
  static constexpr uint64_t kInterruptible = 0x20;
  static constexpr uint64_t kKernelThread = 0x40;  // with kSwitchedOut: sleeps on the low half of word

  std::atomic<uint64_t> word{0};
  Coroutine* coroutine = nullptr;  // null: a guest's, whose memory may go with its thread

  // A new wait; nobody can end it before the ticket is in a queue. Own thread only.
  uint64_t begin(bool interruptible) {
    uint64_t next = ((word.load(std::memory_order_relaxed) >> 8) + 1) << 8 | (interruptible ? kInterruptible : 0);
    word.store(next, std::memory_order_release);
    return next >> 8;
  }
  Wake reason() const { return Wake(word.load(std::memory_order_acquire) & kReasonMask); }
};

struct WaitNode {
  WaitNode* next = nullptr;
  WaitNode* previous = nullptr;
  Waiter* waiter = nullptr;
  uint64_t ticket = 0;
  uint64_t key = 0;     // the parking lot's; kind and address
  uint64_t number = 0;  // by which a queue tells who came since; as its owner counts
  uint32_t tag = 0;     // the queue owner's: reader or writer, bits of a futex wait
  bool linked = false;  // guarded by the queue's lock
};

// Intrusive queue of nodes, first in first out. Guarded by its owner's lock.
struct WaitQueue {
  WaitNode* head = nullptr;
  WaitNode* tail = nullptr;

  bool empty() const { return head == nullptr; }
  void push(WaitNode* node) {
    node->next = nullptr;
    node->previous = tail;
    if (tail)
      tail->next = node;
    else
      head = node;
    tail = node;
    node->linked = true;
  }
  // The first one, taken out; null: there is none.
  WaitNode* pop() {
    WaitNode* first = head;
    if (!first) return nullptr;
    head = first->next;
    (head ? head->previous : tail) = nullptr;
    first->linked = false;
    return first;
  }
  void remove(WaitNode* node) {
    if (node->previous)
      node->previous->next = node->next;
    else
      head = node->next;
    if (node->next)
      node->next->previous = node->previous;
    else
      tail = node->previous;
    node->linked = false;
  }
};

// The deciding step of wake(): true: the wait has ended for this reason, and resume_owner(waiter, *before) is still to come.
inline bool end_wait(Waiter* waiter, uint64_t ticket, Wake reason, uint64_t* before) {
  uint64_t word = waiter->word.load(std::memory_order_relaxed);
  do {
    if (word >> 8 != ticket || (word & Waiter::kReasonMask)) return false;
    // Release: what the waker did before is seen by the waiter, whose reason() acquires. Acquire: pairs with kSwitchedOut.
  } while (!waiter->word.compare_exchange_weak(word, word | (uint64_t)reason, std::memory_order_acq_rel));
  *before = word;
  return true;
}
void resume_owner(Waiter* waiter, uint64_t before);

// Ends the wait `ticket` of `waiter` for `reason` and makes its owner run. False: somebody else ended it before.
// Any thread; async-signal-safe only where the caller holds no lock of the runtime.
bool wake(Waiter* waiter, uint64_t ticket, Wake reason);
inline bool wake(WaitNode* node, Wake reason) { return wake(node->waiter, node->ticket, reason); }

// Ends the wait going on in `waiter`, if it is interruptible. False: there was none.
bool interrupt(Waiter* waiter);

}  // namespace weft
