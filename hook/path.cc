// SPDX-License-Identifier: Apache-2.0
// Look-ups of paths in the ring of files.
#include "hook/path.h"

#include <cstring>
#include <fcntl.h>
#include <linux/io_uring.h>

namespace weft {

constinit LookUps plain_look_ups(0, 4);

namespace {

constinit std::atomic<bool> stay_plain{false};

long ring_call(Coroutine* self, uint8_t operation, int directory, const char* path, unsigned length, const void* found,
               int flags) {
  FileRequest request = {};
  request.operation = operation;
  request.fd = directory;
  request.address = (uint64_t)(uintptr_t)path;
  request.length = length;
  request.offset = (uint64_t)(uintptr_t)found;
  request.flags = (uint32_t)flags;
  long result = file_ring_call(request);
  if (signals_wanted(self)) [[unlikely]]
    deliver_signals_now();
  return result;
}

}  // namespace

bool paths_by_ring(const Coroutine* self) {
  return !self->region_depth && !stay_plain.load(std::memory_order_relaxed) && file_ring_possible();
}

void paths_stay_plain() { stay_plain.store(true); }

long look_up(Coroutine* self, int directory, const char* path, int flags, unsigned wanted, struct statx* found) {
  long result = ring_call(self, IORING_OP_STATX, directory, path, wanted, found, flags);
  if (result != 0 && result != -ENOENT) return kNotTaken;
  // The kernel has read it, so we can.
  return strncmp(path, "/proc/", 6) == 0 ? kNotTaken : result;
}

int open_in_ring(Coroutine* self, int directory, const char* path, int flags, mode_t mode) {
  long fd = ring_call(self, IORING_OP_OPENAT, directory, path, mode, nullptr, flags);
  return fd >= 0 ? (int)fd : -1;
}

}  // namespace weft
