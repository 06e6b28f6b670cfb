// SPDX-License-Identifier: Apache-2.0
// Cancellation. A woven coroutine's cancel is a flag and the end of its wait; it acts on it at its next cancellation
// point, that is at the entry of a hook or when the wait has ended. Guests and pinned coroutines are glibc's own
// matter, except that their waits in the parking lot are ended here.
//
// An asynchronous cancel of a woven coroutine acts at its next hook: nothing interrupts running code without a signal.
#include "hook/cancel.h"

#include "hook/mutex.h"
#include "sched/runtime.h"

namespace weft {

namespace {

// Bits of `cancelhandling`, as glibc's descr.h has them.
constexpr int kCancelled = 0x08;
constexpr int kDisabled = 0x01 | 0x10 | 0x20;  // by the program, or because the thread is ending already
constexpr int kCancelSignal = 32;

// Offset of `cancelhandling` in glibc's TCB, as its own debugger interface states it; 0: not known.
unsigned cancelhandling_offset() {
  static std::atomic<unsigned> known{~0u};
  unsigned offset = known.load(std::memory_order_relaxed);
  if (offset == ~0u) {
    auto* field = (const uint32_t*)dlsym(RTLD_DEFAULT, "_thread_db_pthread_cancelhandling");  // bits, count, offset
    offset = field && field[0] == 32 ? field[2] : 0;
    known.store(offset, std::memory_order_relaxed);
  }
  return offset;
}

ThreadState* state_of(pthread_t thread) {
  // weft's own variable lies at the same distance from the thread pointer in every thread.
  return (ThreadState*)(thread + ((char*)&thread_state - (char*)__builtin_thread_pointer()));
}

int cancel_native(pthread_t thread, Coroutine* pinned) {
  cancelhandling_offset();  // found here, where dlsym may be called
  int error = real().pthread_cancel(thread);
  if (pinned) {
    // glibc knows another tid than the kernel; its handler is there since the first cancel.
    sys::call(SYS_tgkill, sys::getpid(), pinned->carrier->tid, kCancelSignal);
    interrupt(&pinned->waiter);
    return 0;
  }
  if (error == 0 && !pthread_equal(thread, pthread_self())) interrupt(&state_of(thread)->guest_waiter);
  return error;
}

}  // namespace

bool guest_cancel_wanted() {
  unsigned offset = cancelhandling_offset();
  if (!offset) return false;
  int bits = __atomic_load_n((int*)((char*)__builtin_thread_pointer() + offset), __ATOMIC_RELAXED);
  return (bits & (kDisabled | kCancelled)) == kCancelled;
}

bool run_handlers_unless_cancelled(void*) {
  deliver_signals_while_waiting();
  return !caller_cancel_wanted();
}

void cancel_now() {
  Coroutine* self = woven();
  if (!self || !cancel_wanted(self)) return;
  self->cancel_pending.store(0, std::memory_order_relaxed);
  // The cleanup handlers and destructors that run now are not cancelled again.
  self->cancel_state = PTHREAD_CANCEL_DISABLE;
  self->result = PTHREAD_CANCELED;
  real().pthread_exit(PTHREAD_CANCELED);
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_cancel(pthread_t thread) {
  Coroutine* target = runtime_started() ? coroutine_of(thread) : nullptr;
  if (!runtime_started()) return real().pthread_cancel(thread);
  if (!target || target->pinned) return cancel_native(thread, target);
  if (target->ending.load(std::memory_order_acquire) & Coroutine::kFinished) return 0;
  // Sequentially consistent: the target begins its wait and then looks for a cancel, we store it and then look for a
  // wait.
  target->cancel_pending.store(1);
  if (target == woven()) {
    if (target->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) cancellation_point(target);
  } else if (target->cancel_state == PTHREAD_CANCEL_ENABLE) {
    interrupt(&target->waiter);
  }
  return 0;
}

// glibc's own words in the TCB are kept as well: they count from the day the coroutine is pinned.
WEFT_EXPORT int pthread_setcancelstate(int state, int* old) {
  Coroutine* self = woven();
  if (!self) return real().pthread_setcancelstate(state, old);
  int error = real().pthread_setcancelstate(state, nullptr);
  if (error) return error;
  if (old) *old = self->cancel_state;
  self->cancel_state = (uint8_t)state;
  if (self->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) cancellation_point(self);
  return 0;
}

WEFT_EXPORT int pthread_setcanceltype(int type, int* old) {
  Coroutine* self = woven();
  if (!self) return real().pthread_setcanceltype(type, old);
  int error = real().pthread_setcanceltype(type, nullptr);
  if (error) return error;
  if (old) *old = self->cancel_type;
  self->cancel_type = (uint8_t)type;
  if (type == PTHREAD_CANCEL_ASYNCHRONOUS) cancellation_point(self);
  return 0;
}

WEFT_EXPORT void pthread_testcancel() { caller_cancellation_point(); }
