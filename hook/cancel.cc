// SPDX-License-Identifier: Apache-2.0
// Cancellation. A woven coroutine's cancel is a flag and the end of its wait; it acts at its next cancellation point:
// the entry of a hook, or the end of a wait. Guests and pinned coroutines are glibc's own matter, except that their
// waits in the parking lot are ended here.
//
// A coroutine in a blocking region is in a call of libc's, and that acts on glibc's bit in the TCB and on its signal.
// So glibc's pthread_cancel is called for every target, and the signal is sent to the carrier, whose tid glibc does not
// know. The same goes for one in a call of libc's that is not hooked, or that may be in one: sched/internal_signals.h has how glibc
// tells. What comes too late is seen by the flag.
//
// An asynchronous cancel of a coroutine that computes comes as the kick of sched/signals.h, which acts wherever it finds
// the program's own code.
#include "hook/cancel.h"

#include "hook/mutex.h"
#include "sched/internal_signals.h"
#include "sched/runtime.h"

namespace weft {

namespace {

constexpr int kCancelSignal = 32;

// Was cancellation enabled when this guest came to its last cancellation point? glibc says it only by changing it.
constinit thread_local bool guest_enabled __attribute__((tls_model("initial-exec"))) = false;

ThreadState* state_of(pthread_t thread) {
  // weft's own variable lies at the same distance from the thread pointer in every thread.
  return (ThreadState*)(thread_pointer_of((void*)thread) + ((char*)&thread_state - (char*)__builtin_thread_pointer()));
}

// glibc's part: its bit in the TCB, and its signal.
int cancel_in_glibc(pthread_t thread) {
  cancelhandling_of((void*)thread);  // found here, where dlsym may be called
  int error = real().pthread_cancel(thread);
  internal_signals_recheck();  // its first call installs its handler
  return error;
}

bool in_native_call(const Coroutine* target) {
  return target->pinned || __atomic_load_n(&target->region_depth, __ATOMIC_RELAXED) || target->window;
}

int cancel_bits(const Coroutine* target) {
  int* bits = cancelhandling_of(target->tcb);
  return bits ? __atomic_load_n(bits, __ATOMIC_ACQUIRE) & (kCancelingBit | kCanceledBit) : 0;
}

// In a call of libc's that no hook knows of and that is a cancellation point: it does not return before glibc's signal has come, which
// glibc itself cannot send. So the carrier stays the same until then.
bool awaits_glibcs_signal(const Coroutine* target) { return cancel_bits(target) == kCancelingBit; }

// It may be in such a call, and wait there for ever. One that begins later sees the bit; if it has left the carrier by the time the
// signal comes there, the signal is nobody's.
bool may_need_glibcs_signal(const Coroutine* target) {
  return cancel_bits(target) == kCanceledBit && runs_outside(target);
}

void signal_carrier(const Coroutine* target) {
  Carrier* carrier = __atomic_load_n(&target->carrier, __ATOMIC_ACQUIRE);
  if (carrier && carrier->tid) sys::call(SYS_tgkill, sys::getpid(), carrier->tid, kCancelSignal);
}

}  // namespace

bool guest_cancel_wanted() {
  int* bits = guest_enabled ? cancelhandling_of(tcb_of(__builtin_thread_pointer())) : nullptr;
  return bits && (__atomic_load_n(bits, __ATOMIC_RELAXED) & (kEndingBits | kCanceledBit)) == kCanceledBit;
}

void guest_cancellation_point() {
  int state;
  real().pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  guest_enabled = state == PTHREAD_CANCEL_ENABLE;
  real().pthread_setcancelstate(state, nullptr);
  real().pthread_testcancel();
}

bool run_handlers_unless_cancelled(void*) {
  deliver_signals_while_waiting();
  return !caller_cancel_wanted();
}

void cancel_now() {
  Coroutine* self = woven();
  if (!self || !cancel_wanted(self)) return;
  self->cancel_pending.store(0, std::memory_order_relaxed);
  int* bits = cancelhandling_of(self->tcb);
  if (bits && (__atomic_load_n(bits, __ATOMIC_RELAXED) & kEndingBits)) return;  // a call of libc's has acted on it
  // The cleanup handlers and destructors that run now are not cancelled again.
  self->cancel_state = PTHREAD_CANCEL_DISABLE;
  self->result = PTHREAD_CANCELED;
  real().pthread_exit(PTHREAD_CANCELED);
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_cancel(pthread_t thread) {
  if (!runtime_started()) return real().pthread_cancel(thread);
  Coroutine* target = coroutine_of(thread);
  if (!target) {
    int error = cancel_in_glibc(thread);
    if (!error && !pthread_equal(thread, pthread_self())) interrupt(&state_of(thread)->guest_waiter);
    return error;
  }
  if (target->ending.load(std::memory_order_acquire) & Coroutine::kFinished) return 0;
  // Sequentially consistent: the target begins its wait and then looks for a cancel, we store it and then look for a
  // wait.
  target->cancel_pending.store(1);
  cancel_in_glibc(thread);  // whose error is that it does not find the tid
  if (target == woven()) {
    if (target->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) cancellation_point(target);
  } else if (target != thread_state.identity && target->cancel_state == PTHREAD_CANCEL_ENABLE) {
    interrupt(&target->waiter);
    if (in_native_call(target) || awaits_glibcs_signal(target))
      signal_carrier(target);
    else if (target->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS)
      signal_kick(target);  // which acts in a call of libc's as well
    else if (may_need_glibcs_signal(target))
      signal_carrier(target);
  }
  return 0;
}

// glibc's own state in the TCB is kept as well: it counts in blocking regions and once the coroutine is pinned. Not the
// type: glibc's signal may find weft's code in a region, which must not be unwound out of.
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
  if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS) return EINVAL;
  if (old) *old = self->cancel_type;
  self->cancel_type = (uint8_t)type;
  if (type == PTHREAD_CANCEL_ASYNCHRONOUS) cancellation_point(self);
  return 0;
}

// pthread_cleanup_push_defer_np and its end, in code without exceptions. glibc keeps its own type in pad[2] of the buffer and leaves the
// last word free.
WEFT_EXPORT void __pthread_register_cancel_defer(__pthread_unwind_buf_t* buffer) {
  real().__pthread_register_cancel_defer(buffer);
  Coroutine* self = woven();
  buffer->__pad[3] = (void*)(uintptr_t)(self ? self->cancel_type : (int)PTHREAD_CANCEL_DEFERRED);
  if (self) self->cancel_type = PTHREAD_CANCEL_DEFERRED;
}

WEFT_EXPORT void __pthread_unregister_cancel_restore(__pthread_unwind_buf_t* buffer) {
  real().__pthread_unregister_cancel_restore(buffer);
  Coroutine* self = woven();
  if (!self || buffer->__pad[3] != (void*)(uintptr_t)PTHREAD_CANCEL_ASYNCHRONOUS) return;
  self->cancel_type = PTHREAD_CANCEL_ASYNCHRONOUS;
  cancellation_point(self);
}

WEFT_EXPORT void pthread_testcancel() { caller_cancellation_point(); }
