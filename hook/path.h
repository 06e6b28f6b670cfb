// SPDX-License-Identifier: Apache-2.0
// Paths whose look-up may wait for a disk: what open.cc and stat.cc ask the ring of files (sched/file_ring.h).
//
// The ring's word counts where a look-up succeeds. Errors are always those of the plain call, made after it: by then all is in memory.
// Nor does it count below /proc, where a path may mean the kernel thread that looks it up.
#pragma once

#include <sys/stat.h>

#include "hook/hook.h"
#include "sched/file_ring.h"
#include "sched/look_ups.h"

namespace weft {

// May the ring look up paths for the running coroutine? Not in a region, whose call is to be as native as the rest of it.
bool paths_by_ring(const Coroutine* self);

// From now on only plain calls: of a library behind us that has them for itself, or because a filter of system calls comes, which sees
// nothing of what the ring does and may kill who asks for what libc does not.
void paths_stay_plain();

// The calls that can be timed.
extern LookUps plain_look_ups;

// As the system call statx, made in the ring: 0, -ENOENT, or kNotTaken, which is every other error as well.
long look_up(Coroutine* self, int directory, const char* path, int flags, unsigned wanted, struct statx* found);

// As openat. Only of what an open waits for as for a disk; a FIFO's would be waited for past every signal. The descriptor or -1.
int open_in_ring(Coroutine* self, int directory, const char* path, int flags, mode_t mode);

}  // namespace weft
