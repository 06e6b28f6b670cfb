// SPDX-License-Identifier: Apache-2.0
// Passes over the table of coroutines, in short portions; under WEFT_CHAOS one after the other.
//
// A stack may be touched while its coroutine cannot be resumed: kSwitchedOut is taken away, as if the coroutine had not left it yet, and
// whoever ends the wait meanwhile leaves it to us to make it ready, as to one who parks (sched/wait.h).
#include "sched/idle_stacks.h"

#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/stack.h"
#include "sched/worker.h"

namespace weft {

namespace {

constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kBetweenPortions = 10 * kMillisecond;
constexpr uint64_t kPortion = kMillisecond / 10;
constexpr uint64_t kBetweenPasses = 500 * kMillisecond;
constexpr uint64_t kBetweenPassesBusy = 5000 * kMillisecond;
constexpr uint32_t kLooksAtOnce = 64;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kRedZone = 128;

// Monitor only.
uint32_t next_slot;
uint32_t noted;  // in this pass: parked, and to be looked at again
uint64_t last_portion;
uint64_t parks_begun;  // waits of coroutines so far, when it began
bool passing;
// Of the last pass that is over.
uint64_t last_ended;
uint64_t last_parks;
uint32_t last_noted;

constexpr uint32_t kFew = 16;  // waits that are not worth another pass

std::atomic<bool> stay{false};

constexpr uint64_t kGivenBack = 1;  // in Coroutine::idle_wait, beside the ticket

uint64_t parks_so_far() {
  uint64_t parks = 0;
  for (unsigned i = 0; i < worker_count(); i++)
    parks += __atomic_load_n(&worker_at(i)->metrics.value[(unsigned)Metric::parks], __ATOMIC_RELAXED);
  return parks;
}

void give_back(Coroutine* coroutine, uint64_t ticket) {
  std::atomic<uint64_t>& word = coroutine->waiter.word;
  uint64_t seen = word.load(std::memory_order_acquire);
  if (seen >> 8 != ticket || (seen & (Waiter::kReasonMask | Waiter::kKernelThread)) || !(seen & Waiter::kSwitchedOut) ||
      !word.compare_exchange_strong(seen, seen & ~Waiter::kSwitchedOut, std::memory_order_acq_rel))
    return;
  auto pointer = (uint64_t)coroutine->context.sp, low = (uint64_t)coroutine->stack_low;
  // It may be on another stack, of the program's making.
  if (!coroutine->supplied_stack && pointer > low + kRedZone && pointer < low + coroutine->stack_size) {
    uint64_t unused = (pointer - kRedZone - low) & ~(kPage - 1);
    // What is given back can be counted no more.
    if (const char* lowest = stack_lowest_page(coroutine->stack_low, unused)) {
      uint64_t reached = low + coroutine->stack_size - (uint64_t)lowest;
      if (reached > coroutine->stack_reached) coroutine->stack_reached = reached;
    }
    stack_trim(coroutine->stack_low, unused);
    count(Metric::stacks_trimmed);
  }
  if (word.fetch_or(Waiter::kSwitchedOut, std::memory_order_acq_rel) & Waiter::kReasonMask) make_ready(coroutine);
}

void look_at(Coroutine* coroutine) {
  if (coroutine->state.load(std::memory_order_relaxed) != State::parked) return;
  uint64_t ticket = coroutine->waiter.word.load(std::memory_order_relaxed) >> 8;
  if (coroutine->idle_wait == (ticket << 1 | kGivenBack)) return;
  if (coroutine->idle_wait != ticket << 1) {
    coroutine->idle_wait = ticket << 1;
    noted++;
    return;
  }
  give_back(coroutine, ticket);
  coroutine->idle_wait = ticket << 1 | kGivenBack;
}

}  // namespace

void idle_stacks_look(uint64_t now, bool busy) {
  if (chaos_turns || stay.load(std::memory_order_relaxed)) return;
  if (now - last_portion < kBetweenPortions && !chaos) return;
  if (!passing) {
    if (now - last_ended < (busy ? kBetweenPassesBusy : kBetweenPasses) && !chaos) return;
    passing = true;
    next_slot = noted = 0;
    parks_begun = parks_so_far();
  }
  last_portion = now;
  uint32_t slots = coroutine_slots();
  do
    for (uint32_t looks = kLooksAtOnce; looks && next_slot < slots; looks--) look_at(coroutine_at(next_slot++));
  while (next_slot < slots && now_ns() - now < kPortion);
  if (next_slot < slots) return;
  passing = false;
  last_ended = now;
  last_parks = parks_begun;
  last_noted = noted;
}

bool idle_stacks_settled() {
  return chaos_turns || stay.load(std::memory_order_relaxed) ||
         (!passing && last_noted < kFew && parks_so_far() - last_parks < kFew);
}

bool idle_stacks_left() {
  return !chaos_turns && !stay.load(std::memory_order_relaxed) && (last_noted || parks_so_far() != last_parks);
}

void idle_stacks_stay() { stay.store(true, std::memory_order_relaxed); }

void idle_stacks_reset() {
  passing = false;
  last_portion = last_ended = last_parks = last_noted = 0;
}

}  // namespace weft
