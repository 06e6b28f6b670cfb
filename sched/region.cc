// SPDX-License-Identifier: Apache-2.0
// Blocking regions, the places of the resolver, and pinning.
//
// A region is a call made for real on the carrier. A brief one only says so: most end at once, and the monitor takes
// the worker of one that does not. A lasting one hands its worker on before the call. Either way the coroutine goes on
// afterwards without a worker, if it lost it, and queues for one at its next woven call.
#include <sys/prctl.h>

#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/log.h"
#include "sched/options.h"
#include "sched/parking_lot.h"
#include "sched/signals.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/trace.h"

namespace weft {

namespace {

std::atomic<uint32_t> resolving{0};
std::atomic<uint32_t> resolvers_waiting{0};

}  // namespace

void region_enter(RegionKind kind) {
  Coroutine* self = woven();
  if (!self || self->region_depth++) return;
  Worker* worker = enter(self);
  count(worker->metrics, Metric::regions);
  WEFT_TRACE(worker, region_enter, self->id, 0, (uint32_t)kind);
  will_wait(self, WaitKind::region);
  self->state.store(State::blocked, std::memory_order_relaxed);
  if (kind == RegionKind::lasting)
    release_worker(self);
  else
    leave(self);
}

void region_leave() {
  Coroutine* self = woven();
  if (!self || --self->region_depth) return;
  self->wait_kind.store((uint8_t)WaitKind::none, std::memory_order_relaxed);
  self->state.store(State::running, std::memory_order_relaxed);
  WEFT_TRACE(nullptr, region_leave, self->id, 0, 0);
}

void handler_waits() {
  Coroutine* self = thread_state.identity;
  if (!self || !self->window || thread_state.vfork_child || !try_enter(self->carrier)) return;
  count(self->carrier->worker->metrics, Metric::regions);
  release_worker(self);
}

void resolver_enter() {
  Coroutine* self = woven();
  if (!self) return;
  if (thread_state.resolver_depth++) return;
  uint32_t limit = (uint32_t)options.max_regions;
  bool waited = false;
  for (;;) {
    uint32_t running = resolving.load();
    if (running < limit || !limit) {
      if (resolving.compare_exchange_weak(running, running + 1)) break;
      continue;
    }
    if (!waited) count(Metric::regions_waited);
    waited = true;
    resolvers_waiting.fetch_add(1);
    park({.key = park_key(KeyKind::region, &resolving),
          .kind = WaitKind::region,
          .object = &resolving,
          .validate = [](void*) { return resolving.load() >= (uint32_t)options.max_regions; }});
    resolvers_waiting.fetch_sub(1);
  }
  count(Metric::regions_resolver);
  region_enter(RegionKind::brief);
}

void resolver_leave() {
  Coroutine* self = woven();
  if (!self || --thread_state.resolver_depth) return;
  region_leave();
  resolving.fetch_sub(1);
  if (resolvers_waiting.load()) unpark(park_key(KeyKind::region, &resolving), 1);
}

void regions_abandon() {
  Coroutine* self = woven();
  if (!self || !self->region_depth) return;
  // The signal that unwound it is blocked as in its handler, which has not returned.
  uint64_t mask = carrier_signal_mask();
  sys::sigprocmask(2 /* SIG_SETMASK */, &mask, nullptr);
  self->region_depth = 1;
  if (thread_state.resolver_depth) {
    thread_state.resolver_depth = 1;
    resolver_leave();
  } else {
    region_leave();
  }
}

void pin_current(PinReason reason) {
  Coroutine* self = woven();
  if (!self) return;
  Worker* worker = enter(self);
  count(worker->metrics, Metric::pinned);
  Carrier* carrier = self->carrier;
  carrier->pinned = self;
  self->pinned = true;
  self->pin_reason = reason;
  WEFT_TRACE(worker, pin, self->id, 0, (uint32_t)reason);
  if (chaos_turns) turn_guest_ready(&self->waiter);
  release_worker(self);
  thread_state.woven = nullptr;
  if (chaos_turns) turn_guest_awaits(&self->waiter);
  sys::call(SYS_prctl, PR_SET_NAME, sys::word(self->name));
  signals_pin(self);
}

void regions_reset() {
  resolving.store(0);
  resolvers_waiting.store(0);
}

}  // namespace weft
