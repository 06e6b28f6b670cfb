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
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (!maps_are_locked()) {
    void* memory = sys::mmap(nullptr, size, PROT_READ | PROT_WRITE, kFlags);
    return sys::failed(memory) ? nullptr : memory;
  }
  void* memory = sys::mmap(nullptr, size, PROT_NONE, kFlags);
  if (sys::failed(memory)) return nullptr;
  sys::call(SYS_munlock, sys::word(memory), (long)size);
  if (sys::mprotect(memory, size, PROT_READ | PROT_WRITE) == 0) return memory;
  sys::munmap(memory, size);
  return nullptr;
}

}  // namespace weft
