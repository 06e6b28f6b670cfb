// SPDX-License-Identifier: Apache-2.0
// What the poller's own files share: sched/poller.cc, sched/descriptors.cc and sched/rescue.cc. Nobody else includes it.
#pragma once

#include "sched/poller.h"
#include "sched/worker.h"

namespace weft {

constexpr uint32_t kPollTag = 1;  // WaitNode::tag of a poll wait

bool make_descriptor_table();  // at the first need; false: no memory for it

uint64_t event_data(const Descriptor* d, int fd);
long control(Worker* worker, int operation, int fd, uint32_t events, uint64_t data);  // epoll_ctl

void raise_locked(Descriptor* d, Direction direction);
// Wakes the first who takes what is there, and the poll waits in front of it; or everyone. `events`: what epoll said, 0 if it is
// another cause.
unsigned wake_locked(Descriptor* d, Direction direction, bool everyone, uint32_t events = 0);

// Has the worker looked into its epoll from beginning to end since `begun` was its count of looks? Events that it took out before may
// still be in its hands: a carrier that waits for a CPU can hold a whole batch.
inline bool looked_since(const Worker* worker, uint32_t begun) {
  return (int32_t)(worker->looks_done.load(std::memory_order_acquire) - begun) > 0;
}

void descriptors_reset();  // fork child
void rescue_reset();

}  // namespace weft
