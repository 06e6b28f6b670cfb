// SPDX-License-Identifier: Apache-2.0
// The life of threads: made as coroutines, joined, detached, ended. A thread stays a kernel thread where it needs one:
// scheduling or affinity of its own, a creator whose kernel thread differs from the one carriers inherit from, or the
// user's wish.
#include <cstring>
#include <pthread.h>
#include <threads.h>

#include "hook/adoption.h"
#include "hook/cancel.h"
#include "hook/mutex.h"
#include "hook/thread.h"
#include "hook/thread_results.h"
#include "sched/options.h"
#include "sched/runtime.h"

namespace weft {

namespace {

bool has_scheduling_of_its_own(const pthread_attr_t* attributes) {
  int inherits, policy;
  sched_param parameters;
  if (pthread_attr_getinheritsched(attributes, &inherits) || inherits != PTHREAD_EXPLICIT_SCHED) return false;
  if (pthread_attr_getschedpolicy(attributes, &policy) || pthread_attr_getschedparam(attributes, &parameters))
    return true;
  int own_policy;
  sched_param own;
  return get_scheduler({Subject::self, 0}, &own_policy, &own) || own_policy != policy ||
         own.sched_priority != parameters.sched_priority;
}

bool has_affinity_of_its_own(const pthread_attr_t* attributes) {
  cpu_set_t wanted, all, own;
  if (pthread_attr_getaffinity_np(attributes, sizeof wanted, &wanted)) return true;
  memset(&all, 0xff, sizeof all);
  if (CPU_EQUAL(&wanted, &all)) return false;  // none set
  CPU_ZERO(&own);
  return sys::call(SYS_sched_getaffinity, 0, sizeof own, sys::word(&own)) < 0 || !CPU_EQUAL(&wanted, &own);
}

bool native_by_option(void* (*start)(void*)) {
  if (!options.native_threads || !options.native_threads[0]) return false;
  Dl_info symbol;
  return dladdr((void*)start, &symbol) && symbol.dli_sname && matches_any(options.native_threads, symbol.dli_sname);
}

bool needs_kernel_thread(const pthread_attr_t* attributes, void* (*start)(void*)) {
  if (thread_state.kernel_state_changed || native_by_option(start)) return true;
  return attributes && (has_scheduling_of_its_own(attributes) || has_affinity_of_its_own(attributes));
}

// A kernel thread that the program gets differs from the carriers, and so do the threads it will make.
template <class Result>
struct NativeStart {
  Result (*start)(void*);
  void* argument;
  bool descriptors_apart = thread_state.descriptors_apart;
  std::atomic<uint32_t> taken{0};

  static Result run(void* self) {
    auto* given = (NativeStart*)self;
    Result (*start)(void*) = given->start;
    void* argument = given->argument;
    thread_state.descriptors_apart = given->descriptors_apart;
    given->taken.store(1, std::memory_order_release);  // its memory is the creator's stack
    sys::futex_wake(&given->taken, 1);
    thread_state.kernel_state_changed = true;
    return start(argument);
  }
  void await() {
    while (!taken.load(std::memory_order_acquire)) sys::futex_wait(&taken, 0);
  }
};

// What a kernel thread inherits from a coroutine that makes it is the coroutine's signal mask and name, not the
// carrier's.
template <class Result, class Create>
int create_kernel_thread(Result (*start)(void*), void* argument, Create create) {
  count(Metric::threads_native);
  NativeStart<Result> given{start, argument};
  auto create_and_await = [&] {
    int error = create(NativeStart<Result>::run, &given);
    if (!error) given.await();
    return error;
  };
  Coroutine* identity = thread_state.identity;
  if (!identity) return create_and_await();
  char carrier_name[16] = {};
  sys::call(SYS_prctl, PR_GET_NAME, sys::word(carrier_name));
  sys::call(SYS_prctl, PR_SET_NAME, sys::word(identity->name));
  int error;
  if (Coroutine* self = woven()) {
    SignalWindow window;
    region_enter(RegionKind::brief);
    signal_window_open(&window, self, true);
    error = create_and_await();
    signal_window_close(&window);
    region_leave();
  } else {
    error = create_and_await();
  }
  sys::call(SYS_prctl, PR_SET_NAME, sys::word(carrier_name));
  return error;
}

// 0, or EINVAL for a stack that glibc would refuse.
int read_attributes(const pthread_attr_t* attributes, SpawnAttributes* result, uint64_t* mask) {
  void* low;
  size_t size, guard;
  int detached;
  sigset_t signals;
  pthread_attr_getstack(attributes, &low, &size);
  if (char* top = (char*)low + size) {
    if (!size) pthread_attr_getstacksize(attributes, &size);  // only the top was given
    if (size < (size_t)PTHREAD_STACK_MIN) return EINVAL;
    result->stack = top - size;
  } else {
    pthread_attr_getstacksize(attributes, &size);
  }
  result->stack_size = size;
  if (pthread_attr_getguardsize(attributes, &guard) == 0) result->guard_size = guard;
  if (pthread_attr_getdetachstate(attributes, &detached) == 0) result->detached = detached == PTHREAD_CREATE_DETACHED;
  if (pthread_attr_getsigmask_np(attributes, &signals) == 0) {
    memcpy(mask, &signals, sizeof *mask);
    result->signal_mask = mask;
  }
  return 0;
}

uint64_t join_deadline(const TimeLimit& limit) {
  uint64_t deadline = limit.deadline();
  return deadline ? deadline : 1;  // a time that has passed; 0 would mean not to wait at all
}

int join_coroutine(Coroutine* target, void** result, uint64_t deadline) {
  if (target->ending.load(std::memory_order_acquire) & Coroutine::kDetached) return EINVAL;
  for (;;) {
    // As glibc's: only a join that has to wait is a cancellation point.
    if (!(target->ending.load(std::memory_order_acquire) & Coroutine::kFinished)) caller_cancellation_point();
    if (Coroutine* self = woven()) check_turn(self);
    int error = join(target, result, deadline);
    if (error != EINTR) return error;
    deliver_signals_while_waiting();
    if (int ended = caller_waits_end_with()) return ended;
  }
}

template <class Native>
int join_thread(pthread_t thread, void** result, const TimeLimit& limit, Native native) {
  if (!runtime_started()) return native();
  Coroutine* target = coroutine_of(thread);
  if (!target) return blocking_call(RegionKind::lasting, native);
  if (!limit.valid() || !lock_clock(limit.clock)) return EINVAL;
  return join_coroutine(target, result, join_deadline(limit));
}

// The program has changed what threads without attributes get.
std::atomic<bool> defaults_changed{false};

// `create` makes a kernel thread of a start routine and its argument. `caller`: where the program's call returns to.
template <class Result, class Create>
int make_thread(pthread_t* thread, const pthread_attr_t* attributes, Result (*start)(void*), void* argument,
                const void* caller, Create create) {
  auto* routine = (void* (*)(void*))(void*)start;
  if (deep_binding_unsaid.load(std::memory_order_relaxed)) [[unlikely]]
    say_deep_binding();
  if (needs_kernel_thread(attributes, routine)) return create_kernel_thread(start, argument, create);
  SpawnAttributes wanted;
  wanted.creation_pc = caller;
  wanted.c11 = sizeof(Result) != sizeof(void*);
  uint64_t mask;
  if (attributes)
    if (int error = read_attributes(attributes, &wanted, &mask)) return error;
  int error = spawn(thread, routine, argument, wanted);
  if (!error) chaos_at_hook();
  return error;
}

template <class Result, class Create>
int make_default_thread(pthread_t* thread, Result (*start)(void*), void* argument, const void* caller, Create create) {
  pthread_attr_t defaults;
  if (!defaults_changed.load(std::memory_order_relaxed) || pthread_getattr_default_np(&defaults))
    return make_thread(thread, nullptr, start, argument, caller, create);
  int error = make_thread(thread, &defaults, start, argument, caller, create);
  pthread_attr_destroy(&defaults);
  return error;
}

bool threads_are_woven() {
  if (thread_state.vfork_child) return false;
  library_begin();
  return threads_are_adopted() && runtime_start();
}

// A thread that is not woven: as the kernel makes it, but what it inherits from a coroutine is the coroutine's.
template <class Result, class Create>
int make_native_thread(Result (*start)(void*), void* argument, Create create) {
  return thread_state.identity && !thread_state.vfork_child ? create_kernel_thread(start, argument, create)
                                                            : create(start, argument);
}

[[noreturn]] void exit_thread(void* value) {
  if (Coroutine* identity = thread_state.identity) {
    identity->result = value;
    identity->cancel_state = PTHREAD_CANCEL_DISABLE;  // as glibc: a thread that ends is not cancelled any more
  } else if (runtime_started() && runtime_on_main()) {
    runtime_main_exits();
  }
  real().pthread_exit(value);
  __builtin_unreachable();
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                               void* argument) noexcept {
  auto create = [&](void* (*run)(void*), void* given) { return real().pthread_create(thread, attributes, run, given); };
  if (!threads_are_woven()) return make_native_thread(start, argument, create);
  const void* caller = __builtin_return_address(0);
  return attributes ? make_thread(thread, attributes, start, argument, caller, create)
                    : make_default_thread(thread, start, argument, caller, create);
}

WEFT_EXPORT int pthread_setattr_default_np(const pthread_attr_t* attributes) noexcept {
  defaults_changed.store(true, std::memory_order_relaxed);
  return real().pthread_setattr_default_np(attributes);
}

WEFT_EXPORT int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  auto create = [&](thrd_start_t run, void* given) { return real().thrd_create(thread, run, given); };
  if (!threads_are_woven()) return make_native_thread(start, argument, create);
  // Already a result of C11's where the real call was made.
  bool native = false;
  int result =
      make_default_thread(thread, start, argument, __builtin_return_address(0), [&](thrd_start_t run, void* given) {
        native = true;
        return create(run, given);
      });
  return native ? result : c11_result(result);
}

WEFT_EXPORT int pthread_join(pthread_t thread, void** result) {
  return join_thread(thread, result, {}, [&] { return real().pthread_join(thread, result); });
}

WEFT_EXPORT int pthread_timedjoin_np(pthread_t thread, void** result, const timespec* time) {
  return join_thread(thread, result, {time, CLOCK_REALTIME},
                     [&] { return real().pthread_timedjoin_np(thread, result, time); });
}

WEFT_EXPORT int pthread_clockjoin_np(pthread_t thread, void** result, clockid_t clock, const timespec* time) {
  return join_thread(thread, result, {time, clock},
                     [&] { return real().pthread_clockjoin_np(thread, result, clock, time); });
}

WEFT_EXPORT int pthread_tryjoin_np(pthread_t thread, void** result) noexcept {
  Coroutine* target = runtime_started() ? coroutine_of(thread) : nullptr;
  if (!target) return real().pthread_tryjoin_np(thread, result);
  // As glibc, which looks at nothing else while the thread runs.
  if (!(target->ending.load(std::memory_order_acquire) & Coroutine::kFinished)) return EBUSY;
  return join(target, result, 0);
}

WEFT_EXPORT int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  int error = pthread_join(thread, &value);
  if (!error && result) *result = (int)(intptr_t)value;
  return c11_result(error);
}

WEFT_EXPORT int pthread_detach(pthread_t thread) noexcept {
  Coroutine* target = runtime_started() ? coroutine_of(thread) : nullptr;
  return target ? detach(target) : real().pthread_detach(thread);
}

WEFT_EXPORT int thrd_detach(thrd_t thread) { return c11_result(pthread_detach(thread)); }

WEFT_EXPORT void pthread_exit(void* value) { exit_thread(value); }

WEFT_EXPORT void thrd_exit(int value) { exit_thread((void*)(intptr_t)value); }
