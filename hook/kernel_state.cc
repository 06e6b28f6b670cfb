// SPDX-License-Identifier: Apache-2.0
// Calls that change what belongs to one kernel thread and is inherited by those it makes: scheduling, priority,
// affinity, credentials of the file system, capabilities, namespaces, personality, seccomp, tracing.
//
// A coroutine that makes one becomes a kernel thread first (pinned), so the change stays with it and its carrier ends
// with it. A guest that makes one after the runtime has started is marked: its threads stay kernel threads, because
// carriers would not inherit the change. A request that changes nothing pins nobody.
#include "hook/thread.h"

#include <cstring>

#include "hook/mutex.h"
#include "hook/path.h"
#include "sched/log.h"

namespace weft {

void set_own_name(Coroutine* self, const char* name);

void kernel_state_changes() {
  if (thread_state.vfork_child || !runtime_started()) return;
  pin_current(PinReason::kernel_state);
  thread_state.kernel_state_changed = true;
}

Subject subject_of(const Coroutine* coroutine) {
  if (coroutine == thread_state.identity) return {Subject::self, 0};
  if (coroutine->pinned) return {Subject::kernel_thread, coroutine->carrier->tid};
  return {Subject::elsewhere, 0};
}

Subject subject_of_tid(pid_t tid) {
  if (tid == 0) return {Subject::self, 0};
  if (Coroutine* coroutine = coroutine_by_tid(tid)) return subject_of(coroutine);
  if (!thread_state.identity && tid == (pid_t)sys::gettid()) return {Subject::self, 0};
  return {Subject::kernel_thread, tid};
}

pid_t pinned_tid(pid_t tid) {
  Coroutine* coroutine = coroutine_by_tid(tid);
  if (!coroutine) return tid;
  if (coroutine == woven()) pin_current(PinReason::kernel_state);
  if (coroutine->pinned) return coroutine->carrier->tid;
  refused_for_coroutine("a descriptor's signal");
  return tid;
}

pid_t tid_seen_by_program(pid_t kernel_tid) {
  for (uint32_t i = 0; i < coroutine_slots(); i++) {
    const Coroutine* coroutine = coroutine_at(i);
    if (coroutine->state.load(std::memory_order_relaxed) != State::free && coroutine->pinned &&
        coroutine->carrier->tid == kernel_tid)
      return coroutine->tid;
  }
  return kernel_tid;
}

void refused_for_coroutine(const char* what) {
  static bool said;
  count(Metric::fallbacks);
  log_once(&said, Level::warn,
           "%s of another thread is not applied: that thread is a coroutine and moves between carriers", what);
}

int set_affinity(Subject subject, size_t size, const cpu_set_t* set) {
  if (subject.kind != Subject::kernel_thread) {
    cpu_set_t now;
    CPU_ZERO(&now);
    bool known = size <= sizeof now && sys::call(SYS_sched_getaffinity, 0, sizeof now, sys::word(&now)) > 0;
    if (known) {
      cpu_set_t wanted;
      CPU_ZERO(&wanted);
      memcpy(&wanted, set, size);
      if (CPU_EQUAL(&wanted, &now)) return 0;
      if (CPU_COUNT(&wanted) == 0) return EINVAL;
    }
    if (subject.kind == Subject::elsewhere) {
      refused_for_coroutine("the affinity");
      return 0;
    }
    kernel_state_changes();
  }
  return (int)-sys::call(SYS_sched_setaffinity, subject.tid, (long)size, sys::word(set));
}

int get_scheduler(Subject subject, int* policy, sched_param* parameters) {
  long result = sys::call(SYS_sched_getscheduler, subject.tid);
  if (result < 0) return (int)-result;
  *policy = (int)result;
  return (int)-sys::call(SYS_sched_getparam, subject.tid, sys::word(parameters));
}

int set_scheduler(Subject subject, int policy, const sched_param* parameters) {
  int current = 0;
  sched_param now;
  if (subject.kind != Subject::kernel_thread && get_scheduler(subject, &current, &now) == 0 && current == policy &&
      now.sched_priority == parameters->sched_priority)
    return 0;
  if (subject.kind == Subject::elsewhere) {
    int low = sched_get_priority_min(policy), high = sched_get_priority_max(policy);
    if (low < 0 || parameters->sched_priority < low || parameters->sched_priority > high) return EINVAL;
    return EPERM;
  }
  if (subject.kind == Subject::self) kernel_state_changes();
  return (int)-sys::call(SYS_sched_setscheduler, subject.tid, policy, sys::word(parameters));
}

namespace {

// Without threads, and in a vfork child, everything is as the caller says it.
bool plain() { return thread_state.vfork_child || !runtime_started(); }

// The argument for the kernel; pins or marks a caller that means itself.
pid_t tid_to_change(pid_t tid) {
  Subject subject = subject_of_tid(tid);
  if (subject.kind == Subject::self) kernel_state_changes();
  return subject.kind == Subject::elsewhere ? tid : subject.tid;
}

bool changes_this_thread(int option) {
  switch (option) {
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_SECCOMP:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT:
    case PR_SET_SECUREBITS:
    case PR_SET_KEEPCAPS:
    case PR_SET_TIMERSLACK:
    case PR_SET_TSC:
    case PR_SET_FPEMU:
    case PR_SET_FPEXC:
    case PR_SET_ENDIAN:
    case PR_SET_UNALIGN:
    case PR_SET_TIMING:
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
    case PR_MCE_KILL:
    case PR_SET_SPECULATION_CTRL:
    case PR_SET_IO_FLUSHER:
    case PR_SET_SYSCALL_USER_DISPATCH:
    case PR_SCHED_CORE:
      return true;
    default:
      return false;
  }
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int sched_setaffinity(pid_t tid, size_t size, const cpu_set_t* set) noexcept {
  read_affinity_arguments(&size, &set);
  if (plain()) return real().sched_setaffinity(tid, size, set);
  return (int)as_errno(-set_affinity(subject_of_tid(tid), size, set));
}

WEFT_EXPORT int sched_getaffinity(pid_t tid, size_t size, cpu_set_t* set) noexcept {
  read_affinity_arguments(&size, &set);
  return real().sched_getaffinity(plain() ? tid : subject_of_tid(tid).tid, size, set);
}

WEFT_EXPORT int sched_setscheduler(pid_t tid, int policy, const sched_param* parameters) noexcept {
  if (plain()) return real().sched_setscheduler(tid, policy, parameters);
  return (int)as_errno(-set_scheduler(subject_of_tid(tid), policy, parameters));
}

WEFT_EXPORT int sched_getscheduler(pid_t tid) noexcept {
  return real().sched_getscheduler(plain() ? tid : subject_of_tid(tid).tid);
}

WEFT_EXPORT int sched_setparam(pid_t tid, const sched_param* parameters) noexcept {
  if (plain()) return real().sched_setparam(tid, parameters);
  int policy = 0;
  sched_param now;
  Subject subject = subject_of_tid(tid);
  int error = get_scheduler(subject, &policy, &now);
  return (int)as_errno(-(error ? error : set_scheduler(subject, policy, parameters)));
}

WEFT_EXPORT int sched_getparam(pid_t tid, sched_param* parameters) noexcept {
  return real().sched_getparam(plain() ? tid : subject_of_tid(tid).tid, parameters);
}

WEFT_EXPORT int getpriority(__priority_which_t which, id_t who) noexcept {
  if (plain() || which != PRIO_PROCESS) return real().getpriority(which, who);
  return real().getpriority(which, (id_t)subject_of_tid((pid_t)who).tid);
}

WEFT_EXPORT int setpriority(__priority_which_t which, id_t who, int priority) noexcept {
  if (plain() || which != PRIO_PROCESS) return real().setpriority(which, who, priority);
  return real().setpriority(which, (id_t)tid_to_change((pid_t)who), priority);
}

WEFT_EXPORT int nice(int increment) noexcept {
  if (increment) kernel_state_changes();
  return real().nice(increment);
}

WEFT_EXPORT int setfsuid(uid_t uid) noexcept {
  if (uid != (uid_t)-1) kernel_state_changes();  // -1 asks
  return real().setfsuid(uid);
}

WEFT_EXPORT int setfsgid(gid_t gid) noexcept {
  if (gid != (gid_t)-1) kernel_state_changes();
  return real().setfsgid(gid);
}

WEFT_EXPORT int capset(void* header, const void* data) {
  kernel_state_changes();
  return real().capset(header, data);
}

WEFT_EXPORT int setns(int fd, int kind) noexcept {
  kernel_state_changes();
  return real().setns(fd, kind);
}

WEFT_EXPORT int unshare(int flags) noexcept {
  kernel_state_changes();
  int result = real().unshare(flags);
  if (result == 0 && (flags & CLONE_FILES) && !plain()) descriptors_part();
  return result;
}

WEFT_EXPORT int personality(unsigned long persona) noexcept {
  if (persona != 0xffffffff) kernel_state_changes();  // this one asks
  return real().personality(persona);
}

WEFT_EXPORT long ptrace(__ptrace_request request, ...) noexcept {
  va_list list;
  va_start(list, request);
  long tid = va_arg(list, long), address = va_arg(list, long), data = va_arg(list, long);
  va_end(list);
  kernel_state_changes();
  return real().ptrace(request, tid, address, data);
}

WEFT_EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long);
  va_end(list);
  Coroutine* identity = thread_state.vfork_child ? nullptr : thread_state.identity;
  if (identity && option == PR_SET_NAME && a) {
    char name[16] = {};
    strncpy(name, (const char*)a, sizeof name - 1);
    set_own_name(identity, name);
    return 0;
  }
  if (identity && option == PR_GET_NAME && a) {
    memcpy((char*)a, identity->name, sizeof identity->name);
    return 0;
  }
  if (option == PR_SET_SECCOMP) paths_stay_plain();
  if (changes_this_thread(option)) kernel_state_changes();
  return real().prctl(option, a, b, c, d);
}
