// SPDX-License-Identifier: Apache-2.0
// Calls on files and paths that may wait for a disk, made by the kernel (io_uring) while the coroutine is parked and its worker goes on.
//
// One kernel thread, made when there is the first such call, owns the ring. A ring of the carriers' own would save two changes of
// threads a call, a small part of what a disk takes; but the kernel ends waits of whoever submits when a request completes, and a
// program's call on that carrier would end with an EINTR that nobody sent.
//
// Not taken, so that the caller makes the call for real in a region: in a process under seccomp, whose filter may kill who asks for a
// ring; where the kernel refuses one; while the thread is being made; and what the ring itself fails to do.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>

#include "sched/wait.h"

namespace weft {

struct FileRequest {
  uint8_t operation;  // IORING_OP_…
  int fd;
  uint64_t address;
  uint32_t length;
  uint64_t offset;
  uint32_t flags;  // of the operation

  // the ring's
  FileRequest* next;
  Waiter* waiter;
  uint64_t ticket;
  long result;
};

constexpr long kNotTaken = LONG_MIN;

// Makes the call and waits for its end, which neither a signal nor a cancellation hastens. As a raw system call returns, or kNotTaken.
// A coroutine's own, outside the runtime.
long file_ring_call(FileRequest request);

bool file_ring_possible();     // the options and the process are for it; starts nothing
bool file_ring_refused();      // nothing will be taken any more
unsigned file_ring_threads();  // 1 if there is one
// Where the number of one of its two descriptors is kept; null: `fd` is none of them.
std::atomic<int>* file_ring_number(int fd);
void file_ring_reset();  // fork child

}  // namespace weft
