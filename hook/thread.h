// SPDX-License-Identifier: Apache-2.0
// Which kernel thread a call about a thread means: by pthread_t, or by the number that gettid() says.
#pragma once

#include "hook/hook.h"
#include "sched/sys.h"

namespace weft {

// Whose state a call is about.
struct Subject {
  enum Kind { self, kernel_thread, elsewhere } kind;  // elsewhere: another woven coroutine, which has no kernel thread
  pid_t tid;                                          // for the kernel: 0 for self and elsewhere
};

Subject subject_of(const Coroutine* coroutine);
Subject subject_of_tid(pid_t tid);

// The caller is about to change state of its kernel thread: a coroutine is pinned, and threads that the caller makes
// from now on are kernel threads, which inherit from it. Before the runtime starts carriers will inherit it, so nothing
// is to be done.
void kernel_state_changes();

// For F_SETOWN_EX and F_GETOWN_EX: the kernel's number of the thread that a number of the program's means, which is pinned if it is the
// caller's own; and the program's number of a kernel thread.
pid_t pinned_tid(pid_t tid);
pid_t tid_seen_by_program(pid_t kernel_tid);

// The state named in a call about another woven coroutine cannot be given to it.
void refused_for_coroutine(const char* what);

// Sets the scheduling of a subject by the system call `number`. 0 or an error number.
int set_affinity(Subject subject, size_t size, const cpu_set_t* set);
int set_scheduler(Subject subject, int policy, const sched_param* parameters);
int get_scheduler(Subject subject, int* policy, sched_param* parameters);

// Programs linked against glibc before 2.3.4 call the affinity functions without a size, so the set comes in its place. No size is as
// large as an address.
template <class Set>
void read_affinity_arguments(size_t* size, Set** set) {
  constexpr size_t kLeastAddress = 0x10000;
  if (*size < kLeastAddress) return;
  *set = (Set*)*size;
  *size = sizeof(cpu_set_t);
}

}  // namespace weft
