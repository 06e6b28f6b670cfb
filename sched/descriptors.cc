// SPDX-License-Identifier: Apache-2.0
// Descriptor numbers: the table, weft's own numbers up high, and what becomes of a number that is closed, made or reused.
//
//   duplicate   where waiters stay whose descriptor was closed: the kernel would keep the description for a sleeper, so do we
//   internal    weft's own; the program neither sees nor closes it
//   spare       an internal number that means nothing: a duplicate takes its place where no other number is to be had
//
// Nobody waits on a number after forget_descriptor() but who asks for it between that and the real close: natively a race too; here the
// monitor's look ends it. Of two locks, that of the private duplicate is the inner one: nobody else can want it and the other.
#include <cerrno>
#include <fcntl.h>
#include <initializer_list>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sched/file_ring.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/metrics.h"
#include "sched/poller_parts.h"
#include "sched/reserve.h"
#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

Descriptor* descriptor_table;
uint32_t descriptor_count;
WEFT_LARGE std::atomic<uint32_t> description_epochs[kDescriptionGroups];

namespace {

constexpr int kHighestInternal = 1 << 16;  // the kernel's table grows to the highest number, and fork copies it
constexpr uint64_t kRoomAboveLimit = 512;

std::atomic<int> lowest_internal{kMaxDescriptors};
std::atomic<int> highest_internal{-1};
std::atomic<int> highest_known{-1};
Lock table_lock;
Lock numbers_lock;  // descriptor limits are changed and put back under it
std::atomic<int> spare{-1};

void raise_to(std::atomic<int>& bound, int value) {
  int old = bound.load(std::memory_order_relaxed);
  while (old < value && !bound.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
}
void lower_to(std::atomic<int>& bound, int value) {
  int old = bound.load(std::memory_order_relaxed);
  while (old > value && !bound.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
}

// How many numbers the kernel's table of descriptors has now: what select() reads of its sets.
int kernel_table_size() {
  char text[4096];
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word("/proc/self/status"), O_RDONLY | O_CLOEXEC);
  long length = fd < 0 ? 0 : sys::call(SYS_read, fd, sys::word(text), sizeof text);
  if (fd >= 0) sys::close((int)fd);
  constexpr char kWord[] = "\nFDSize:\t";
  constexpr long kLength = sizeof kWord - 1;
  for (long i = 0; i + kLength < length; i++) {
    if (__builtin_memcmp(text + i, kWord, kLength)) continue;
    int size = 0;
    for (i += kLength; i < length && text[i] >= '0' && text[i] <= '9' && size < kMaxDescriptors; i++)
      size = size * 10 + (text[i] - '0');
    return size;
  }
  return kHighestInternal;
}

}  // namespace

bool make_descriptor_table() {
  Locked locked(table_lock);
  if (descriptor_table) return true;
  raise_to(highest_known, kernel_table_size() - 1);
  // Where address space is limited, nearly all of it is the program's.
  struct rlimit space = {};
  sys::call(SYS_prlimit64, 0, RLIMIT_AS, 0, sys::word(&space));
  for (uint32_t entries = kMaxDescriptors; entries >= 1024; entries /= 4) {
    if (entries > 1024 && entries * sizeof(Descriptor) > space.rlim_cur / 16) continue;
    void* memory = reserve(entries * sizeof(Descriptor));
    if (!memory) continue;
    descriptor_table = (Descriptor*)memory;
    __atomic_store_n(&descriptor_count, entries, __ATOMIC_RELEASE);
    return true;
  }
  return false;
}

namespace {

// The same description under a high number, close-on-exec. -errno if there is none. If the hard limit allows it the
// number lies above the soft one, where the program neither looks nor misses it; the limit is raised for the call
// alone.
int duplicate_high(int fd) {
  Locked locked(numbers_lock);
  struct rlimit limit = {};
  sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::word(&limit));
  uint64_t top = limit.rlim_cur + kRoomAboveLimit;
  if (top > limit.rlim_max) top = limit.rlim_max;
  if (top > kHighestInternal) top = kHighestInternal;
  if (top > descriptor_count) top = descriptor_count;
  struct rlimit raised = {top, limit.rlim_max};
  bool raises = top > limit.rlim_cur && sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, sys::word(&raised)) == 0;
  if (!raises && top > limit.rlim_cur) top = limit.rlim_cur;
  int lowest = lowest_internal.load(std::memory_order_relaxed);
  int start = lowest < (int)top ? lowest : (int)top;  // ours lie side by side, downwards from the top
  long high = -EMFILE;
  for (int from : {start - 1, (int)top - 16, (int)top - 64, (int)top - 256, (int)top / 2}) {
    if (from < 0) continue;
    high = sys::call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
    if (high != -EMFILE && high != -EINVAL) break;
  }
  if (raises) sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, sys::word(&limit));
  if (high >= 0 && (uint32_t)high >= descriptor_count) {
    sys::close((int)high);
    high = -EMFILE;
  }
  return (int)high;
}

void mark_internal(int fd) {
  Descriptor* d = descriptor(fd);
  Locked locked(d->lock);
  renew_locked(d);
  d->kind.store((uint8_t)DescriptorKind::internal, std::memory_order_relaxed);
  lower_to(lowest_internal, fd);
  raise_to(highest_internal, fd);
}

// -errno where there is no spare.
int duplicate_over_spare(int fd) {
  int number = spare.exchange(-1);
  if (number < 0) return -EMFILE;
  long result = sys::call(SYS_dup3, fd, number, O_CLOEXEC);
  if (result < 0) spare.store(number);
  return (int)result;
}

// Moves the waiters of a descriptor that is about to be closed to a private duplicate.
bool move_waiters_locked(Descriptor* d, int fd) {
  int copy = duplicate_high(fd);
  if (copy < 0) copy = duplicate_over_spare(fd);
  if (copy < 0) return false;
  mark_internal(copy);
  Descriptor* other = descriptor(copy);
  Locked locked(other->lock);
  other->flags.store(d->flags.load(std::memory_order_relaxed), std::memory_order_relaxed);
  for (Direction direction : {Direction::read, Direction::write}) {
    WaitQueue& from = d->ready[(int)direction].waiters;
    while (WaitNode* node = from.head) {
      from.remove(node);
      // Release pairs with the acquire in unlink(): who sees the new number finds the node there.
      ((PollWait*)node)->fd.store(copy, std::memory_order_release);
      other->ready[(int)direction].waiters.push(node);
      other->sleepers++;
    }
  }
  uint32_t had = d->registered.load(std::memory_order_relaxed);
  if (had) {
    // The old registration belongs to the number and the description, and the description lives on.
    Worker* home = worker_at(d->poller - 1u);
    control(home, EPOLL_CTL_DEL, fd, 0, 0);
    control(home, EPOLL_CTL_ADD, copy, had | EPOLLET, event_data(other, copy));
    other->registered.store(had, std::memory_order_relaxed);
    other->poller = d->poller;
  }
  return true;
}

}  // namespace

void renew_locked(Descriptor* d) {
  d->generation.store(d->generation.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  d->registered.store(0, std::memory_order_relaxed);
  d->poller = 0;
  d->sleepers = 0;
  d->flags.store(0, std::memory_order_relaxed);
  d->cached.store(0, std::memory_order_relaxed);
  d->kind.store((uint8_t)DescriptorKind::unknown, std::memory_order_relaxed);
  d->receive_timeout.store(0, std::memory_order_relaxed);
  d->send_timeout.store(0, std::memory_order_relaxed);
  raise_locked(d, Direction::read);
  raise_locked(d, Direction::write);
}

void renew_descriptor(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d) return;
  note_known_fd(fd);
  Locked locked(d->lock);
  renew_locked(d);
  wake_locked(d, Direction::read, true);  // left there by a close past the hooks
  wake_locked(d, Direction::write, true);
}

namespace {

// False: waiters lost it, for want of a number.
bool forget(Descriptor* d, int fd) {
  Locked locked(d->lock);
  bool waited_for = !d->ready[0].waiters.empty() || !d->ready[1].waiters.empty();
  bool moved = waited_for && move_waiters_locked(d, fd);
  if (!moved && d->registered.load(std::memory_order_relaxed) &&
      (d->flags.load(std::memory_order_relaxed) & Descriptor::kShared))
    control(worker_at(d->poller - 1u), EPOLL_CTL_DEL, fd, 0, 0);
  renew_locked(d);
  if (!waited_for || moved) return true;
  for (Direction direction : {Direction::read, Direction::write}) {
    // The number may be another description's by the time they run.
    for (WaitNode* node = d->ready[(int)direction].waiters.head; node; node = node->next)
      ((PollWait*)node)->fd.store(-1, std::memory_order_release);
    wake_locked(d, direction, true);
  }
  return false;
}

}  // namespace

void forget_descriptor(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d || (d->kind.load(std::memory_order_relaxed) == (uint8_t)DescriptorKind::unknown &&
             !d->registered.load(std::memory_order_relaxed)))
    return;
  if (forget(d, fd)) return;
  static bool said;
  count(Metric::fallbacks);
  log_once(
      &said, Level::warn,
      "no descriptor is left for those that wait on one which is closed meanwhile: they get EBADF; raise ulimit -n");
}

namespace {

// A number that is not needed any more, if there is no spare.
bool keep_as_spare(Descriptor* d, int fd) {
  if (spare.load(std::memory_order_relaxed) >= 0) return false;
  if (sys::call(SYS_dup3, (long)worker_at(0)->event_fd, fd, O_CLOEXEC) < 0) return false;
  d->kind.store((uint8_t)DescriptorKind::internal, std::memory_order_relaxed);
  int none = -1;
  if (spare.compare_exchange_strong(none, fd)) return true;
  d->kind.store((uint8_t)DescriptorKind::unknown, std::memory_order_relaxed);
  return false;
}

}  // namespace

void descriptor_limit_begin() { numbers_lock.lock(); }

void descriptor_limit_end() {
  numbers_lock.unlock();
  struct rlimit limit = {};
  int number = spare.load();
  if (sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::word(&limit)) < 0) return;
  if (number >= 0 && (uint64_t)number < limit.rlim_max) return;
  if (number >= 0 && !spare.compare_exchange_strong(number, -1)) return;
  make_spare_descriptor();
  if (number < 0) return;
  renew_descriptor(number);
  sys::close(number);
}

void make_spare_descriptor() {
  if (!descriptor_table) return;
  int number = duplicate_high(worker_at(0)->event_fd);
  if (number < 0) return;
  mark_internal(number);
  spare.store(number);
}

void release_duplicate(int fd, int original) {
  if (fd == original || fd < 0) return;
  Descriptor* d = descriptor(fd);
  Locked locked(d->lock);
  bool last = d->sleepers && --d->sleepers == 0;
  if (last) {
    if (d->poller) control(worker_at(d->poller - 1u), EPOLL_CTL_DEL, fd, 0, 0);  // others may have the description
    renew_locked(d);
    if (!keep_as_spare(d, fd)) sys::close(fd);
  }
}

bool is_internal_fd(int fd) {
  if (fd < lowest_internal.load(std::memory_order_relaxed)) return false;
  Descriptor* d = descriptor(fd);
  return d && d->kind.load(std::memory_order_relaxed) == (uint8_t)DescriptorKind::internal;
}

int next_internal_fd(int from) {
  int first = lowest_internal.load(std::memory_order_relaxed);
  int last = highest_internal.load(std::memory_order_relaxed);
  for (int fd = from < first ? first : from; fd <= last; fd++)
    if (is_internal_fd(fd)) return fd;
  return -1;
}

int make_internal_fd(int fd) {
  if (!make_descriptor_table()) return -ENOMEM;
  int high = duplicate_high(fd);
  if (high < 0) {
    if ((uint32_t)fd >= descriptor_count) return high;
    sys::call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
    high = fd;  // no other number is to be had
  } else {
    sys::close(fd);
  }
  mark_internal(high);
  return high;
}

namespace {

bool relocate(int fd, std::atomic<int>* number) {
  int high = duplicate_high(fd);
  if (high < 0) return false;
  mark_internal(high);
  number->store(high, std::memory_order_release);
  renew_descriptor(fd);
  return true;
}

}  // namespace

bool relocate_internal_fd(int fd) {
  int number = fd;
  if (spare.compare_exchange_strong(number, -1)) {
    renew_descriptor(fd);
    make_spare_descriptor();
    return true;
  }
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker* worker = worker_at(i);
    if (worker->epoll_fd == fd) return relocate(fd, &worker->epoll_fd);
    if (worker->event_fd == fd) return relocate(fd, &worker->event_fd);
  }
  std::atomic<int>* of_ring = file_ring_number(fd);
  return of_ring && relocate(fd, of_ring);
}

void descriptors_part() {
  for (int fd = next_internal_fd(0); fd >= 0; fd = next_internal_fd(fd + 1)) sys::close(fd);
  thread_state.descriptors_apart = true;
}

int highest_known_fd() { return highest_known.load(std::memory_order_relaxed); }
void note_known_fd(int fd) {
  if (fd > highest_known.load(std::memory_order_relaxed)) raise_to(highest_known, fd);
}

// The child has the forking thread alone and, in its copy of the descriptor table, all of the parent's pollers.
void descriptors_reset() {
  table_lock.reset();
  numbers_lock.reset();
  if (!descriptor_table) return;
  int kept[16];
  unsigned kept_count = 0;
  for (int fd = next_internal_fd(0); fd >= 0; fd = next_internal_fd(fd + 1)) {
    if (thread_state.descriptors_apart) break;  // the child has none of them
    bool ours = descriptor(fd)->sleepers != 0 || fd == spare.load() || file_ring_number(fd);
    for (unsigned i = 0; i < worker_count(); i++)
      if (worker_at(i)->epoll_fd == fd || worker_at(i)->event_fd == fd) ours = true;
    if (ours)
      sys::close(fd);
    else if (kept_count < 16)
      kept[kept_count++] = fd;
  }
  spare.store(-1);
  // Zero pages are a table that knows nothing, its locks free.
  sys::madvise(descriptor_table, descriptor_count * sizeof(Descriptor), MADV_DONTNEED);
  lowest_internal.store(kMaxDescriptors, std::memory_order_relaxed);
  highest_internal.store(-1, std::memory_order_relaxed);
  for (unsigned i = 0; i < kept_count; i++) mark_internal(kept[i]);
}

}  // namespace weft
