// SPDX-License-Identifier: Apache-2.0
// Groups of workers. CPUs are the kernel thread's affinity, so a carrier changes its own when it gets a worker of another group.
#include "sched/groups.h"

#include <cerrno>

#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/log.h"
#include "sched/poller.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr unsigned kMaxCpus = 1024;

struct Cpus {
  uint64_t bits[kMaxCpus / 64];
};

Lock lock;  // guards the making of groups
Cpus cpus_of[kMaxGroups];
unsigned groups = 1;

bool has(const Cpus& cpus, unsigned cpu) { return cpus.bits[cpu / 64] >> (cpu % 64) & 1; }

}  // namespace

void groups_begin() {
  groups = 1;
  cpus_of[0] = {};
  sys::call(SYS_sched_getaffinity, 0, sizeof(Cpus), sys::word(&cpus_of[0]));
}

int group_make(const unsigned* cpus, size_t cpu_count, unsigned workers_wanted) {
  Locked locked(lock);
  Cpus wanted = {};
  for (size_t i = 0; i < cpu_count; i++) {
    if (cpus[i] >= kMaxCpus || !has(cpus_of[0], cpus[i])) return -EINVAL;
    wanted.bits[cpus[i] / 64] |= uint64_t{1} << (cpus[i] % 64);
  }
  unsigned first = worker_count();
  if (!workers_wanted) workers_wanted = (unsigned)cpu_count;
  if (!cpu_count) return -EINVAL;
  // Under WEFT_CHAOS one order of all decisions is drawn, among the workers that are there.
  if (chaos) return 0;
  if (groups == kMaxGroups || workers_wanted > kMaxWorkers - first) return -EAGAIN;
  for (unsigned i = 0; i < workers_wanted; i++) {
    Worker* worker = worker_begin(first + i);
    worker->group = (uint8_t)groups;
    int error = poller_open(worker);
    if (!error) continue;
    while (i--) poller_close(worker_at(first + i));
    return error;
  }
  cpus_of[groups] = wanted;
  workers_set_count(first + workers_wanted);
  for (unsigned i = 0; i < workers_wanted; i++) {
    // Where the kernel gives no thread now, the monitor tries again.
    add_orphan(worker_at(first + i));
    carrier_create();
  }
  return (int)groups++;
}

void use_cpus_of(Carrier* carrier, uint8_t group) {
  if (long error = sys::call(SYS_sched_setaffinity, 0, sizeof(Cpus), sys::word(&cpus_of[group])))
    log(Level::warn, "a kernel thread cannot use the CPUs of its runtime (error %ld)", -error);
  carrier->cpus_of = group;
}

}  // namespace weft
