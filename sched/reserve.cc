// SPDX-License-Identifier: Apache-2.0
// A map without access is locked without being filled; unlocked, it stays as it is when access is given.
#include "sched/reserve.h"

#include <atomic>
#include <sys/mman.h>

#include "sched/sys.h"

namespace weft {

namespace {

std::atomic<bool> locked{false};

}  // namespace

bool maps_are_locked(bool now) { return locked.exchange(now); }
bool maps_are_locked() { return locked.load(); }

void* reserve(size_t size) {
  bool filled = maps_are_locked();
  void* memory = sys::mmap(nullptr, size, filled ? PROT_NONE : PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (sys::failed(memory)) return nullptr;
  if (!filled) return memory;
  sys::call(SYS_munlock, sys::word(memory), (long)size);
  if (sys::mprotect(memory, size, PROT_READ | PROT_WRITE) == 0) return memory;
  sys::munmap(memory, size);
  return nullptr;
}

}  // namespace weft
