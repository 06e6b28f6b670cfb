// SPDX-License-Identifier: Apache-2.0
// Groups of workers, each with CPUs of its own: the schedulers of co_runtime_create. Group 0 is the one that all programs have. A coroutine
// stays in the group it was made in; work is shared out within a group alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

struct Carrier;

constexpr unsigned kMaxGroups = 64;

// When the runtime starts: the CPUs of group 0 are the calling thread's.
void groups_begin();
// Makes a group of so many workers on these CPUs, each at most kMaxCpus. Its number, or -errno: EINVAL a CPU that is not there or is not
// the process's, EAGAIN too many groups or workers, EMFILE, ENFILE, ENOMEM. The runtime has started.
int group_make(const unsigned* cpus, size_t cpu_count, unsigned workers);
// The carrier's kernel thread from now on uses that group's CPUs. Its own thread.
void use_cpus_of(Carrier* carrier, uint8_t group);

}  // namespace weft
