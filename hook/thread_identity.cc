// SPDX-License-Identifier: Apache-2.0
// What a thread is called and where it lives: number, name, stack, scheduling and CPU clock of a coroutine, which glibc
// would look up in a kernel thread that does not exist.
//
// A coroutine that is not pinned has the scheduling and affinity that carriers have, which is what it would have
// inherited. Its own can be changed by itself, and then it is pinned. Given to it by another thread, an affinity is
// accepted and not applied, said once: it is advice about placement, and programs treat its refusal as fatal. A
// scheduling policy is refused with EPERM. Its CPU clock is the process's: time is not accounted by coroutine.
#include <cstring>

#include "hook/mutex.h"
#include "hook/thread.h"
#include "sched/options.h"

namespace weft {

namespace {

constexpr size_t kNameSize = 16;  // TASK_COMM_LEN

Coroutine* started_coroutine_of(pthread_t thread) { return runtime_started() ? coroutine_of(thread) : nullptr; }

bool has_ended(const Coroutine* target) {
  return target->ending.load(std::memory_order_acquire) & Coroutine::kFinished;
}

// The user's wish for threads of this name: from here on a kernel thread.
void pin_if_named_so(const Coroutine* self) {
  if (options.native_threads && options.native_threads[0] && matches_any(options.native_threads, self->name))
    pin_current(PinReason::asked_for);
}

}  // namespace

void set_own_name(Coroutine* self, const char* name) {
  set_name(self, name);
  pin_if_named_so(self);
  if (self->pinned) sys::call(SYS_prctl, PR_SET_NAME, sys::word(self->name));
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT pid_t gettid() noexcept {
  Coroutine* identity = thread_state.identity;
  return identity ? identity->tid : real().gettid();
}

WEFT_EXPORT int pthread_setname_np(pthread_t thread, const char* name) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_setname_np(thread, name);
  if (strlen(name) >= kNameSize) return ERANGE;
  if (has_ended(target)) return ENOENT;
  if (target == thread_state.identity)
    set_own_name(target, name);
  else
    set_name(target, name);
  return 0;
}

WEFT_EXPORT int pthread_getname_np(pthread_t thread, char* buffer, size_t size) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_getname_np(thread, buffer, size);
  if (size < kNameSize) return ERANGE;
  if (has_ended(target)) return ENOENT;
  memcpy(buffer, target->name, kNameSize);
  return 0;
}

WEFT_EXPORT int pthread_getattr_np(pthread_t thread, pthread_attr_t* attributes) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_getattr_np(thread, attributes);
  if (int error = pthread_attr_init(attributes)) return error;
  bool supplied = target->supplied_stack;
  pthread_attr_setstack(attributes, target->stack_low, target->stack_size);
  pthread_attr_setguardsize(attributes, supplied ? 0 : target->guard_size);
  bool detached = target->ending.load(std::memory_order_relaxed) & Coroutine::kDetached;
  pthread_attr_setdetachstate(attributes, detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
  int policy;
  sched_param parameters;
  if (get_scheduler(subject_of(target), &policy, &parameters) == 0) {
    pthread_attr_setschedpolicy(attributes, policy);
    pthread_attr_setschedparam(attributes, &parameters);
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sys::call(SYS_sched_getaffinity, subject_of(target).tid, sizeof cpus, sys::word(&cpus)) > 0)
    return pthread_attr_setaffinity_np(attributes, sizeof cpus, &cpus);
  return 0;
}

WEFT_EXPORT int pthread_getcpuclockid(pthread_t thread, clockid_t* clock) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_getcpuclockid(thread, clock);
  if (has_ended(target)) return ESRCH;
  constexpr clockid_t kThreadScheduling = 4 | 2;  // CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
  *clock =
      target->pinned ? (clockid_t)((unsigned)~target->carrier->tid << 3 | kThreadScheduling) : CLOCK_PROCESS_CPUTIME_ID;
  return 0;
}

WEFT_EXPORT int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t* set) noexcept {
  read_affinity_arguments(&size, &set);
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_getaffinity_np(thread, size, set);
  long bytes = sys::call(SYS_sched_getaffinity, subject_of(target).tid, (long)size, sys::word(set));
  if (bytes < 0) return (int)-bytes;
  memset((char*)set + bytes, 0, size - (size_t)bytes);
  return 0;
}

WEFT_EXPORT int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t* set) noexcept {
  read_affinity_arguments(&size, &set);
  Coroutine* target = started_coroutine_of(thread);
  if (target) return set_affinity(subject_of(target), size, set);
  if (runtime_started() && pthread_equal(thread, pthread_self())) kernel_state_changes();
  return real().pthread_setaffinity_np(thread, size, set);
}

WEFT_EXPORT int pthread_getschedparam(pthread_t thread, int* policy, sched_param* parameters) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (!target) return real().pthread_getschedparam(thread, policy, parameters);
  return has_ended(target) ? ESRCH : get_scheduler(subject_of(target), policy, parameters);
}

WEFT_EXPORT int pthread_setschedparam(pthread_t thread, int policy, const sched_param* parameters) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (target) return has_ended(target) ? ESRCH : set_scheduler(subject_of(target), policy, parameters);
  if (runtime_started() && pthread_equal(thread, pthread_self())) kernel_state_changes();
  return real().pthread_setschedparam(thread, policy, parameters);
}

WEFT_EXPORT int pthread_setschedprio(pthread_t thread, int priority) noexcept {
  Coroutine* target = started_coroutine_of(thread);
  if (target) {
    int policy;
    sched_param parameters;
    if (has_ended(target)) return ESRCH;
    if (int error = get_scheduler(subject_of(target), &policy, &parameters)) return error;
    parameters.sched_priority = priority;
    return set_scheduler(subject_of(target), policy, &parameters);
  }
  if (runtime_started() && pthread_equal(thread, pthread_self())) kernel_state_changes();
  return real().pthread_setschedprio(thread, priority);
}
