// SPDX-License-Identifier: Apache-2.0
// Thread-specific keys and one-time initialisation.
//
// Keys are glibc's; the runtime only has to know that there are some, because it runs the destructors of coroutines.
//
// pthread_once is done here from the start of the process, in glibc's states: 0 not begun, in progress (bit 0, and the
// number of forks before), 2 done. So a routine that main runs while it makes the first thread is one that others can
// wait for. A routine that is left by an exception, pthread_exit or a cancellation has not been run: the next caller
// runs it. That is seen without landing pads: see asm/guarded_call.h.
#include "asm/guarded_call.h"
#include "hook/mutex.h"

namespace weft {

namespace {

constexpr int kInProgress = 1;
constexpr int kDone = 2;
constexpr unsigned kForkShift = 2;

// The initialisations this thread is in, innermost first.
struct Running {
  int* control;
  Running* outer;
  __pthread_unwind_buf_t buffer;
};
constinit thread_local Running* running __attribute__((tls_model("initial-exec"))) = nullptr;

int in_progress_now() { return (int)(parking_lot_generation << kForkShift) | kInProgress; }

void finish(int* control, int state) {
  __atomic_exchange_n(control, state, __ATOMIC_SEQ_CST);  // with the barrier that has_waiters() wants
  uint64_t key = park_key(KeyKind::once, control);
  if (has_waiters(key)) unpark(key, ~0u);
}

void leave_unfinished() {
  Running* left = running;
  running = left->outer;
  __pthread_unregister_cancel(&left->buffer);
  finish(left->control, 0);
}

// An exception finds the frame of weft_guarded_call. pthread_exit and cancellation do too, unless the routine was compiled without
// unwind tables: then glibc jumps to the buffer, as it does to a cleanup handler's.
void run(int* control, void (*routine)()) {
  Running entry{control, running, {}};
  if (__sigsetjmp_cancel(entry.buffer.__cancel_jmp_buf, 0)) {
    if (running == &entry) leave_unfinished();
    __pthread_unwind_next(&entry.buffer);
  }
  __pthread_register_cancel(&entry.buffer);
  running = &entry;
  weft_guarded_call(routine);
  __pthread_unregister_cancel(&entry.buffer);
  running = entry.outer;
  finish(control, kDone);
}

struct Waiting {
  int* control;
  int state;
};

bool still_running(void* argument) {
  auto* waiting = (Waiting*)argument;
  return __atomic_load_n(waiting->control, __ATOMIC_ACQUIRE) == waiting->state;
}

int once(int* control, void (*routine)()) {
  for (;;) {
    int state = __atomic_load_n(control, __ATOMIC_ACQUIRE);  // pairs with finish(): what the routine did is seen
    if (state & kDone) return 0;
    int mine = in_progress_now();
    if (state == mine) {
      if (Coroutine* self = woven()) check_turn(self);
      Waiting waiting{control, state};
      Parked how = park({.key = park_key(KeyKind::once, control),
                         .kind = WaitKind::once,
                         .object = control,
                         .interruptible = woven() != nullptr,
                         .validate = still_running,
                         .argument = &waiting});
      if (how == Parked::interrupted) lock_wait_interrupted();
      continue;
    }
    if (!__atomic_compare_exchange_n(control, &state, mine, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) continue;
    run(control, routine);
    return 0;
  }
}

}  // namespace

}  // namespace weft

using namespace weft;

extern "C" int weft_call_unwound(int, int actions, uint64_t, void*, void*) {
  constexpr int kUnwinds = 2;   // _UA_CLEANUP_PHASE
  constexpr int kContinue = 8;  // _URC_CONTINUE_UNWIND
  if (actions & kUnwinds) leave_unfinished();
  return kContinue;
}

WEFT_EXPORT int pthread_once(pthread_once_t* control, void (*routine)()) { return once(control, routine); }

WEFT_EXPORT void call_once(once_flag* flag, void (*routine)()) { once((int*)flag, routine); }

WEFT_EXPORT int pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept {
  int error = real().pthread_key_create(key, destructor);
  if (!error) tls_key_created(*key);
  return error;
}

WEFT_EXPORT int tss_create(tss_t* key, tss_dtor_t destructor) {
  int result = real().tss_create(key, destructor);
  if (result == thrd_success) tls_key_created(*key);
  return result;
}
