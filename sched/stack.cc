// SPDX-License-Identifier: Apache-2.0
// Slabs of stacks. A slab holds stacks of one kind (usable bytes and guard); each new slab of a kind is twice the last one, up to a
// bound, so that a program with three threads reserves little and one with 100,000 needs few mappings. Where maps are locked, and so
// filled, a slab holds one stack.
#include "sched/stack.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "sched/large.h"
#include "sched/lock.h"
#include "sched/log.h"
#include "sched/options.h"
#include "sched/reserve.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL, Linux 6.13
constexpr int kSelf = -10001;       // PIDFD_SELF_THREAD_GROUP, Linux 6.14
constexpr uint64_t kPage = 4096;
constexpr uint64_t kLargestSlab = uint64_t{1} << 30;
constexpr uint64_t kMostGuards = 64;  // in one call

struct Slabs {
  uint64_t pitch;  // usable bytes and guard; 0: none yet
  uint64_t guard;
  char* next;        // first stack not given out
  uint64_t left;     // bytes of the slab from there
  uint64_t stacks;   // of the newest slab
  uint64_t guarded;  // from `next` on, stacks whose guard is there
  uint64_t guards;   // installed by the last call
  bool executable;
};

constexpr unsigned kKinds = 64;
WEFT_LARGE Slabs slabs[kKinds];
Lock lock;
bool guard_by_advice;
bool many_by_one_call = true;  // guarded by lock
std::atomic<bool> executable{false};

// An access through the kernel: says EFAULT where ours would be killed.
bool readable(const char* address) {
  int pipe_fds[2];
  if (sys::call(SYS_pipe2, sys::word(pipe_fds), 02000000) < 0) return true;
  bool ok = sys::write(pipe_fds[1], address, 1) == 1;
  sys::close(pipe_fds[0]);
  sys::close(pipe_fds[1]);
  return ok;
}

bool grow_locked(Slabs& slab, uint64_t wanted) {
  uint64_t largest = kLargestSlab / slab.pitch;
  if (wanted > largest) wanted = largest ? largest : 1;
  bool executed = executable.load();
  for (; wanted; wanted /= 2) {
    void* memory = sys::mmap(nullptr, wanted * slab.pitch, PROT_READ | PROT_WRITE | (executed ? PROT_EXEC : 0),
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK);
    if (sys::failed(memory)) continue;
    // Huge pages would make a stack of one touched page cost two megabytes.
    sys::madvise(memory, wanted * slab.pitch, MADV_NOHUGEPAGE);
    slab.next = (char*)memory;
    slab.left = wanted * slab.pitch;
    slab.stacks = wanted;
    slab.guarded = 0;
    slab.executable = executed;
    return true;
  }
  return false;
}

bool install_guard(char* at, uint64_t size) {
  if (guard_by_advice && sys::madvise(at, size, kGuardInstall) == 0) return true;
  if (sys::mprotect(at, size, PROT_NONE) == 0) return true;
  static bool said;
  log_once(&said, Level::warn,
           "no mapping is left for the guard of a stack (vm.max_map_count). Raise it with sysctl -w "
           "vm.max_map_count=1000000");
  return false;
}

// The guards of the next stacks too, twice as many as last time: one by one they are a fifth of what a thread's creation takes. A
// filter of system calls may kill who makes one that is as new as this.
void install_guards_locked(Slabs& slab) {
  if (!guard_by_advice || !many_by_one_call || slab.stacks == 1) return;
  uint64_t wanted = std::min({slab.guards * 2, slab.left / slab.pitch, kMostGuards});
  if (wanted < 2) {
    slab.guards = 1;
    return;
  }
  if (sys::call(SYS_prctl, PR_GET_SECCOMP) != 0) return;
  iovec guards[kMostGuards];
  for (uint64_t i = 0; i < wanted; i++) guards[i] = {slab.next + i * slab.pitch, slab.guard};
  long done = sys::call(SYS_process_madvise, kSelf, sys::word(guards), (long)wanted, kGuardInstall, 0);
  many_by_one_call = done > 0;
  slab.guards = wanted;
  if (done > 0) slab.guarded = (uint64_t)done / slab.guard;
}

}  // namespace

void stack_init() {
  guard_by_advice = false;
  if (options.guards == GuardWay::mprotect) return;
  char* page = (char*)sys::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(page)) return;
  *page = 1;
  // What the call returns is not believed: emulators accept it and do nothing.
  guard_by_advice = sys::madvise(page, kPage, kGuardInstall) == 0 && !readable(page);
  sys::munmap(page, kPage);
}

const char* stack_guard_method() { return guard_by_advice ? "MADV_GUARD_INSTALL" : "mprotect"; }

bool stack_allocate(uint64_t size, uint64_t guard, StackMemory* stack) {
  // A pitch of whole pages: the next stack of the slab begins where this one ends.
  size = (size + kPage - 1) & ~(kPage - 1);
  guard = (guard + kPage - 1) & ~(kPage - 1);
  uint64_t pitch = size + guard;
  lock.lock();
  Slabs* slab = nullptr;
  for (Slabs& candidate : slabs)
    if (!candidate.pitch || (candidate.pitch == pitch && candidate.guard == guard)) {
      slab = &candidate;
      break;
    }
  Slabs alone = {};  // one mapping a stack, when there are too many kinds
  uint64_t wanted = !slab || maps_are_locked() ? 1 : slab->stacks ? slab->stacks * 2 : 16;
  if (!slab) slab = &alone;
  slab->pitch = pitch;
  slab->guard = guard;
  if (slab->left < pitch && !grow_locked(*slab, wanted)) {
    lock.unlock();
    return false;
  }
  if (!slab->guarded) install_guards_locked(*slab);
  char* bottom = slab->next;
  bool guarded = slab->guarded;
  slab->guarded -= guarded;
  slab->next += pitch;
  slab->left -= pitch;
  bool changes = executable.load() && !slab->executable;  // the slab is older
  lock.unlock();
  if (changes) sys::mprotect(bottom, pitch, PROT_READ | PROT_WRITE | PROT_EXEC);
  if (!guarded && !install_guard(bottom, guard)) {
    Locked locked(lock);
    if (slab == &alone) {
      sys::munmap(bottom, pitch);
    } else if (slab->next == bottom + pitch) {
      slab->next = bottom;
      slab->left += pitch;
    }
    return false;
  }
  stack->low = bottom + guard;
  stack->size = size;
  return true;
}

void stack_give_back_rest() {
  Locked locked(lock);
  for (Slabs& slab : slabs) {
    if (slab.left) sys::munmap(slab.next, slab.left);
    slab.left = slab.stacks = slab.guarded = 0;
  }
}

void stacks_are_executable() { executable.store(true); }

bool stack_make_executable(const char* low, uint64_t size, uint64_t guard) {
  // Guards by advice stay what they are, and with them the mapping stays one.
  if (guard_by_advice && sys::mprotect((void*)(low - guard), size + guard, PROT_READ | PROT_WRITE | PROT_EXEC) == 0)
    return true;
  return sys::mprotect((void*)low, size, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

void stack_trim(char* low, uint64_t size) { sys::madvise(low, size & ~(kPage - 1), MADV_DONTNEED); }

char* stack_lowest_page(char* low, uint64_t size) {
  constexpr uint64_t kPages = 1024;  // in one call
  unsigned char in_use[kPages];
  // A filter of the program's may know no such call.
  if (sys::call(SYS_prctl, PR_GET_SECCOMP) != 0) return nullptr;
  for (uint64_t at = 0; at < size; at += kPages * kPage) {
    uint64_t pages = std::min(kPages, (size - at) / kPage);
    if (sys::call(SYS_mincore, sys::word(low + at), (long)(pages * kPage), sys::word(in_use)) != 0) return nullptr;
    for (uint64_t i = 0; i < pages; i++)
      if (in_use[i] & 1) return low + at + i * kPage;
  }
  return nullptr;
}

// The forking moment may have found a slab half changed. The child makes its own.
void stack_reset() {
  lock.reset();
  for (Slabs& slab : slabs) slab = {};
}

}  // namespace weft
