// SPDX-License-Identifier: Apache-2.0
// Time, deadlines and cancellation. Both are kept in the coroutine, where every wait looks at them (block_coroutine), so that plain calls
// end as well.
#include "sched/api/api.h"
#include "sched/clock.h"

namespace weft {

bool cancel_coroutine(Coroutine* target, uint32_t generation) {
  uint64_t none = (uint64_t)generation << 32;
  // Sequentially consistent: the target begins its wait and then looks for a cancel, we store it and then look for a wait.
  if (!target->calls_end.compare_exchange_strong(none, none | ECANCELED)) return none >> 32 == generation;
  interrupt(&target->waiter);
  return true;
}

namespace {

struct Deadline {
  uint64_t outer;  // the coroutine's before
  uint64_t own;
};
static_assert(sizeof(Deadline) == sizeof(co_deadline_t));

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_API uint64_t co_now(void) { return now_ns(); }

WEFT_API int co_sleep_until(uint64_t time) {
  take_turn();
  char nothing;
  for (;;) {
    if (now_ns() >= time) return 0;
    if (Coroutine* self = caller())
      if (int error = waits_end_with(self)) return error;
    Parked how = park({.key = park_key(KeyKind::suspend, &nothing),
                       .kind = WaitKind::sleep,
                       .object = nullptr,
                       .deadline = time,
                       .interruptible = true});
    if (how == Parked::timed_out) return 0;
    if (int error = wait_interrupted()) return error;
  }
}

WEFT_API int co_sleep(uint64_t nanoseconds) { return co_sleep_until(deadline_in(nanoseconds)); }

WEFT_API int co_deadline_begin(co_deadline_t* state, uint64_t nanoseconds) {
  Coroutine* self = caller();
  if (!self) return EPERM;
  auto* deadline = (Deadline*)state;
  deadline->outer = self->calls_deadline;
  deadline->own = deadline_in(nanoseconds);
  if (deadline->own < deadline->outer) self->calls_deadline = deadline->own;
  self->told_by = nullptr;
  return 0;
}

WEFT_API int co_deadline_end(co_deadline_t* state) {
  Coroutine* self = caller();
  if (!self) return EPERM;
  auto* deadline = (Deadline*)state;
  self->calls_deadline = deadline->outer;
  self->told_by = nullptr;
  return now_ns() >= deadline->own ? ETIMEDOUT : 0;
}

WEFT_API int co_with_deadline(uint64_t nanoseconds, int (*fn)(void*), void* argument) {
  co_deadline_t state;
  if (int error = co_deadline_begin(&state, nanoseconds)) return error;
  int result = fn(argument);
  co_deadline_end(&state);
  return result;
}

WEFT_API int co_cancel(co_t co) {
  Coroutine* target = coroutine_of_handle(co);
  return target && cancel_coroutine(target, (uint32_t)(co >> 32)) ? 0 : ESRCH;
}

WEFT_API int co_canceled(void) {
  take_turn();
  return caller() ? waits_end_with(caller()) : 0;
}

WEFT_API int co_shield(int (*fn)(void*), void* argument) {
  Shield shield(caller());
  return fn(argument);
}
