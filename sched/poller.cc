// SPDX-License-Identifier: Apache-2.0
// The poller: the descriptor table, registration with epoll, waits on descriptors, and the monitor's look at those that
// last.
//
//   edge        an event of epoll; it raises the counter of its direction and wakes one waiter, or all where the
//   descriptor
//               has hung up or failed
//   poll wait   a waiter that looks and takes nothing: whoever is behind it is woken too
//   duplicate   where waiters stay whose descriptor was closed: the kernel would keep the description for a sleeper, so
//   do we
//
// Races, and who must win:
//   edge against park     the edge raises the counter and looks at the queue under the descriptor's lock; the waiter
//   compares the counter
//                         and enqueues under it
//   signal against park   the sender marks the signal pending, then tries to end the wait; the waiter begins its wait,
//   passes a locked
//                         instruction, then looks for pending signals
//   close against park    nobody waits on a number after forget_descriptor() but who asks for it between that and the
//   real close: natively
//                         a race too; here the monitor's look ends it
// A node is touched by wakers under the lock alone, and for the last time before wake(): the frame it is in may go at
// once.
//
// Rejected: one-shot registration, re-armed at each wait: an epoll_ctl a wait, 0.8 times the speed of native threads.
#include "sched/poller.h"

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/log.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

Descriptor* descriptor_table;
uint32_t descriptor_count;
std::atomic<uint32_t> description_epoch{0};

static_assert(kReadEvents == (EPOLLIN | EPOLLPRI | EPOLLRDHUP) && kWriteEvents == EPOLLOUT);
static_assert(offsetof(PollWait, node) == 0);

namespace {

constexpr uint32_t kPollTag = 1;           // WaitNode::tag of a poll wait
constexpr uint32_t kWorkerEvent = ~0u;     // in place of a descriptor: the worker's eventfd
constexpr int kHighestInternal = 1 << 16;  // the kernel's table grows to the highest number, and fork copies it
constexpr uint64_t kRoomAboveLimit = 512;
constexpr unsigned kEventsAtOnce = 256;
constexpr int kFetchAhead = 4;             // events whose descriptor is fetched into the cache beforehand
constexpr int kSettleNaps = 50;  // of a millisecond each

std::atomic<int> lowest_internal{kMaxDescriptors};
std::atomic<int> highest_internal{-1};
std::atomic<int> highest_known{-1};
std::atomic<bool> have_pwait2{true};
Lock table_lock;
Lock numbers_lock;  // descriptor limits are changed and put back under it

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

bool make_table() {
  Locked locked(table_lock);
  if (descriptor_table) return true;
  raise_to(highest_known, kernel_table_size() - 1);
  for (uint32_t entries = kMaxDescriptors; entries >= 1024; entries /= 4) {
    void* memory = sys::mmap(nullptr, entries * sizeof(Descriptor), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (sys::failed(memory)) continue;
    descriptor_table = (Descriptor*)memory;
    __atomic_store_n(&descriptor_count, entries, __ATOMIC_RELEASE);
    return true;
  }
  return false;
}

uint64_t event_data(const Descriptor* d, int fd) {
  return (uint64_t)d->generation.load(std::memory_order_relaxed) << 32 | (uint32_t)fd;
}
long control(Worker* worker, int operation, int fd, uint32_t events, uint64_t data) {
  epoll_event event;
  event.events = events;
  event.data.u64 = data;
  return sys::call(SYS_epoll_ctl, worker->epoll_fd, operation, fd, sys::word(&event));
}

// Asks for the events of this direction if that has not been done. 0, or why epoll does not take it.
long register_locked(Descriptor* d, int fd, Direction direction, Worker* worker) {
  uint32_t have = d->registered.load(std::memory_order_relaxed);
  uint32_t wanted = have | kReadEvents | (direction == Direction::write ? kWriteEvents : 0);
  if (have == wanted) return 0;
  Worker* home = have ? worker_at(d->poller - 1u) : worker;
  int operation = have ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  long result = -EEXIST;
  // The table may be wrong about what epoll knows: descriptors are closed and made past the hooks as well.
  for (int attempt = 0; attempt < 3; attempt++) {
    result = control(home, operation, fd, wanted | EPOLLET, event_data(d, fd));
    if (result == -EEXIST)
      operation = EPOLL_CTL_MOD;
    else if (result == -ENOENT) {
      operation = EPOLL_CTL_ADD;
      home = worker;
    } else
      break;
  }
  if (result < 0) {
    if (result == -EPERM || result == -ELOOP || result == -EINVAL) d->flags |= Descriptor::kUnpollable;
    return result;
  }
  count(worker->metrics, operation == EPOLL_CTL_ADD ? Metric::epoll_adds : Metric::epoll_mods);
  d->registered.store(wanted, std::memory_order_relaxed);
  d->poller = (uint16_t)(home->index + 1);
  return 0;
}

void raise_locked(Descriptor* d, Direction direction) {
  std::atomic<uint32_t>& events = d->ready[(int)direction].events;
  // Release pairs with events_seen(): who sees the edge sees what came before it.
  events.store(events.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// Wakes the first who takes what is there, and the poll waits in front of it; or everyone. `events`: what epoll said, 0
// if it is another cause.
unsigned wake_locked(Descriptor* d, Direction direction, bool everyone, uint32_t events = 0) {
  WaitQueue& waiters = d->ready[(int)direction].waiters;
  unsigned woken = 0;
  while (WaitNode* node = waiters.head) {
    Waiter* waiter = node->waiter;
    uint64_t ticket = node->ticket;
    bool takes = node->tag != kPollTag;
    node->key = events;
    waiters.remove(node);
    if (!wake(waiter, ticket, Wake::unparked)) continue;
    woken++;
    if (takes && !everyone) break;
  }
  return woken;
}

unsigned handle_event(uint64_t data, uint32_t events) {
  int fd = (int)(uint32_t)data;
  Descriptor* d = descriptor(fd);
  if (!d) return 0;
  Locked locked(d->lock);
  if (d->generation.load(std::memory_order_relaxed) != data >> 32) return 0;
  bool over = events & (EPOLLHUP | EPOLLERR);
  unsigned woken = 0;
  if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    d->flags |= (events & EPOLLHUP) ? Descriptor::kNoDrainHint | Descriptor::kHungUp : Descriptor::kNoDrainHint;
  if (over || (events & kReadEvents)) {
    raise_locked(d, Direction::read);
    woken += wake_locked(d, Direction::read, over || (events & (EPOLLPRI | EPOLLRDHUP)), events);
  }
  if (over || (events & kWriteEvents)) {
    raise_locked(d, Direction::write);
    woken += wake_locked(d, Direction::write, over, events);
  }
  return woken;
}

// Has the worker looked into its epoll from beginning to end since `begun` was its count of looks? Events that it took out before may
// still be in its hands: a carrier that waits for a CPU can hold a whole batch.
bool looked_since(const Worker* worker, uint32_t begun) {
  return (int32_t)(worker->looks_done.load(std::memory_order_acquire) - begun) > 0;
}

bool must_act(const Coroutine* self) {
  return (self->signals_pending.load(std::memory_order_relaxed) & ~self->signal_mask) != 0 ||
         (self->cancel_pending.load(std::memory_order_relaxed) && self->cancel_state == 0);
}

// Takes a node out of the queue it is in. The descriptor may be closed and the node moved meanwhile.
void unlink(PollWait* wait) {
  for (;;) {
    int fd = wait->fd.load(std::memory_order_acquire);
    Descriptor* d = descriptor(fd);
    if (!d) return;
    Locked locked(d->lock);
    if (wait->fd.load(std::memory_order_relaxed) != fd) continue;
    if (wait->node.linked) d->ready[(int)wait->direction].waiters.remove(&wait->node);
    return;
  }
}

enum class Joined : uint8_t { queued, ready, must_act, unpollable };

// Registers and enqueues, unless there is something to do at once. Inside.
Joined join(PollWait* wait, Coroutine* self, Worker* worker, uint64_t ticket, uint32_t tag) {
  int fd = wait->fd.load(std::memory_order_relaxed);
  Descriptor* d = descriptor(fd);
  if (!d) return Joined::unpollable;
  Locked locked(d->lock);
  if (must_act(self)) return Joined::must_act;
  if (d->ready[(int)wait->direction].events.load(std::memory_order_relaxed) != wait->seen) return Joined::ready;
  if (d->flags.load(std::memory_order_relaxed) & Descriptor::kUnpollable) return Joined::unpollable;
  if (long error = register_locked(d, fd, wait->direction, worker))
    return error == -EBADF ? Joined::ready : Joined::unpollable;  // a closed one: the next try says so
  wait->node.waiter = &self->waiter;
  wait->node.ticket = ticket;
  wait->node.tag = tag;
  wait->node.key = 0;
  d->ready[(int)wait->direction].waiters.push(&wait->node);
  return Joined::queued;
}

FdWake as_fd_wake(Wake reason) {
  return reason == Wake::timed_out     ? FdWake::timed_out
         : reason == Wake::interrupted ? FdWake::interrupted
                                       : FdWake::ready;
}
FdWake as_fd_wake(Joined joined) {
  return joined == Joined::ready      ? FdWake::ready
         : joined == Joined::must_act ? FdWake::interrupted
                                      : FdWake::unpollable;
}

}  // namespace

FdWake wait_fd(int* fd, Direction direction, uint32_t seen, uint64_t deadline) {
  Coroutine* self = woven();
  Worker* worker = enter(self);
  PollWait wait = {{}, *fd, direction, seen};
  uint64_t ticket = self->waiter.begin(true);
  Joined joined = join(&wait, self, worker, ticket, 0);
  if (joined != Joined::queued) {
    self->waiter.begin(false);  // nobody shall think that he has ended this wait
    leave(self);
    return as_fd_wake(joined);
  }
  self->wait_fd = *fd;
  self->since = coarse_now.load(std::memory_order_relaxed);
  self->wait_kind.store((uint8_t)(direction == Direction::read ? WaitKind::fd_read : WaitKind::fd_write),
                        std::memory_order_relaxed);
  Wake reason = block_coroutine(self, ticket, deadline);
  if (reason != Wake::unparked) unlink(&wait);  // who unparks it has taken it out
  leave(self);
  *fd = wait.fd.load(std::memory_order_acquire);
  return as_fd_wake(reason);
}

FdWake wait_any(PollWait* waits, unsigned wait_count, uint64_t deadline, bool looked_at, bool* rescued) {
  Coroutine* self = woven();
  Worker* worker = enter(self);
  uint64_t ticket = self->waiter.begin(true);
  *rescued = false;
  FdWake result = FdWake::ready;
  unsigned queued = 0;
  bool blocks = true;
  for (; queued < wait_count; queued++) {
    Joined joined = join(&waits[queued], self, worker, ticket, kPollTag);
    if (joined == Joined::queued) continue;
    result = as_fd_wake(joined);
    blocks = false;
    break;
  }
  if (!wait_count) {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // between begin() and the look, as the lock is otherwise
    if (must_act(self)) {
      result = FdWake::interrupted;
      blocks = false;
    }
  }
  if (blocks) {
    self->wait_fd = wait_count ? waits[0].fd.load(std::memory_order_relaxed) : -1;
    self->since = looked_at || !wait_count ? kNever : coarse_now.load(std::memory_order_relaxed);
    self->wait_kind.store((uint8_t)(wait_count ? WaitKind::poll : WaitKind::sleep), std::memory_order_relaxed);
    result = as_fd_wake(block_coroutine(self, ticket, deadline));
    *rescued = self->rescued;
  } else {
    self->waiter.begin(false);
  }
  for (unsigned i = 0; i < queued; i++) unlink(&waits[i]);
  leave(self);
  return result;
}

void pass_on_slow(Descriptor* d, Direction direction) {
  Locked locked(d->lock);
  if (worth_trying(d, direction)) wake_locked(d, direction, false);
}

void wake_descriptor(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d || !d->registered.load(std::memory_order_relaxed)) return;
  Locked locked(d->lock);
  d->flags |= Descriptor::kNoDrainHint;
  for (Direction direction : {Direction::read, Direction::write}) {
    raise_locked(d, direction);
    wake_locked(d, direction, true);
  }
}

// ---- numbers

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

// Moves the waiters of a descriptor that is about to be closed to a private duplicate.
bool move_waiters_locked(Descriptor* d, int fd) {
  int copy = duplicate_high(fd);
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

void forget_descriptor(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d || (d->kind.load(std::memory_order_relaxed) == (uint8_t)DescriptorKind::unknown &&
             !d->registered.load(std::memory_order_relaxed)))
    return;
  Locked locked(d->lock);
  bool waited_for = !d->ready[0].waiters.empty() || !d->ready[1].waiters.empty();
  bool moved = waited_for && move_waiters_locked(d, fd);
  if (!moved && d->registered.load(std::memory_order_relaxed) &&
      (d->flags.load(std::memory_order_relaxed) & Descriptor::kShared))
    control(worker_at(d->poller - 1u), EPOLL_CTL_DEL, fd, 0, 0);
  renew_locked(d);
  if (waited_for && !moved) {
    wake_locked(d, Direction::read, true);
    wake_locked(d, Direction::write, true);
  }
}

void release_duplicate(int fd, int original) {
  if (fd == original) return;
  Descriptor* d = descriptor(fd);
  Locked locked(d->lock);
  bool last = d->sleepers && --d->sleepers == 0;
  if (last) {
    if (d->poller) control(worker_at(d->poller - 1u), EPOLL_CTL_DEL, fd, 0, 0);  // others may have the description
    renew_locked(d);
    sys::close(fd);
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
  if (!make_table()) return -ENOMEM;
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

bool relocate_internal_fd(int fd) {
  for (unsigned i = 0; i < worker_count(); i++) {
    Worker* worker = worker_at(i);
    int* slot = worker->epoll_fd == fd ? &worker->epoll_fd : worker->event_fd == fd ? &worker->event_fd : nullptr;
    if (!slot) continue;
    int high = duplicate_high(fd);
    if (high < 0) return false;
    mark_internal(high);
    __atomic_store_n(slot, high, __ATOMIC_RELEASE);
    renew_descriptor(fd);
    return true;
  }
  return false;
}

int highest_known_fd() { return highest_known.load(std::memory_order_relaxed); }
void note_known_fd(int fd) {
  if (fd > highest_known.load(std::memory_order_relaxed)) raise_to(highest_known, fd);
}

void poller_settle(int fd) {
  Descriptor* d = descriptor(fd);
  Coroutine* self = woven();
  if (!d || !self) return;
  d->lock.lock();
  Worker* home = d->poller ? worker_at(d->poller - 1u) : nullptr;
  d->lock.unlock();
  if (!home) return;
  uint32_t begun = home->looks_begun.load(std::memory_order_acquire);
  for (int i = 0; i < kSettleNaps && !looked_since(home, begun); i++) {
    worker_wake(home);
    enter(self);
    uint64_t ticket = self->waiter.begin(false);
    self->wait_kind.store((uint8_t)WaitKind::sleep, std::memory_order_relaxed);
    block_coroutine(self, ticket, deadline_in(1'000'000));
    leave(self);
  }
}

// ---- for worker and monitor

int poller_open(Worker* worker) {
  make_table();  // without it descriptors are not woven
  long epoll = sys::call(SYS_epoll_create1, EPOLL_CLOEXEC);
  if (epoll < 0) return (int)epoll;
  long event = sys::call(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) {
    sys::close((int)epoll);
    return (int)event;
  }
  if (descriptor_table) {
    int high = make_internal_fd((int)epoll);
    if (high >= 0) epoll = high;
    high = make_internal_fd((int)event);
    if (high >= 0) event = high;
  }
  worker->epoll_fd = (int)epoll;
  worker->event_fd = (int)event;
  long result = control(worker, EPOLL_CTL_ADD, (int)event, EPOLLIN | EPOLLET, kWorkerEvent);
  if (result < 0) poller_close(worker);
  return (int)result;
}

void poller_close(Worker* worker) {
  for (int* fd : {&worker->epoll_fd, &worker->event_fd}) {
    if (*fd >= 0) sys::close(*fd);
    if (Descriptor* d = descriptor(*fd)) {
      Locked locked(d->lock);
      renew_locked(d);
    }
    *fd = -1;
  }
}

unsigned poller_poll(Worker* worker, uint64_t deadline) {
  epoll_event events[kEventsAtOnce];
  count(worker->metrics, Metric::polls);
  uint32_t look = worker->looks_begun.load(std::memory_order_relaxed) + 1;
  worker->looks_begun.store(look, std::memory_order_release);
  int epoll_fd = __atomic_load_n(&worker->epoll_fd, __ATOMIC_RELAXED);
  uint64_t now = deadline && deadline != kNever ? now_ns() : 0;
  long found = -ENOSYS;
  if (deadline > now && deadline != kNever && have_pwait2.load(std::memory_order_relaxed)) {
    timespec left = to_timespec(deadline - now);
    found = sys::call(SYS_epoll_pwait2, epoll_fd, sys::word(events), kEventsAtOnce, sys::word(&left), 0, 0);
    if (found == -ENOSYS) have_pwait2.store(false, std::memory_order_relaxed);
  }
  if (found == -ENOSYS) {
    long left = deadline == kNever ? -1 : deadline > now ? (long)((deadline - now + 999999) / 1000000) : 0;
    found = sys::call(SYS_epoll_pwait, epoll_fd, sys::word(events), kEventsAtOnce,
                      left > 0x7fffffff ? 0x7fffffff : left, 0, 0);
  }
  unsigned woken = 0;
  for (long i = 0; i < found; i++) {
    if (i + kFetchAhead < found)
      if (Descriptor* later = descriptor((int)(uint32_t)events[i + kFetchAhead].data.u64)) {
        __builtin_prefetch(later, 1);
        __builtin_prefetch((char*)later + 64, 1);
      }
    if ((uint32_t)events[i].data.u64 != kWorkerEvent) woken += handle_event(events[i].data.u64, events[i].events);
  }
  worker->looks_done.store(look, std::memory_order_release);
  return woken;
}

namespace {

constexpr uint64_t kLookAfter = 100'000'000;
constexpr unsigned kLooksAtOnce = 1024;
constexpr uint32_t kSlotsAtOnce = 8192;

struct Suspect {
  Coroutine* coroutine;
  uint64_t ticket;
  int fd;
  Direction direction;
  Worker* home;    // whose epoll has the descriptor
  uint32_t looks;  // home's, when the descriptor was found ready
};

// Monitor only.
Suspect suspects[kLooksAtOnce];
unsigned suspect_count;
uint32_t next_slot;
pollfd looks[kLooksAtOnce];

uint64_t ticket_of_wait(const Coroutine* coroutine) {
  uint64_t word = coroutine->waiter.word.load(std::memory_order_acquire);
  return (word & Waiter::kReasonMask) ? 0 : word >> 8;
}

// Leaves those that are ready, or that another process or a call past the hooks has made non-blocking.
void keep_ready_suspects() {
  for (unsigned i = 0; i < suspect_count; i++)
    looks[i] = {suspects[i].fd,
                (short)(suspects[i].direction == Direction::read ? POLLIN | POLLPRI | POLLRDHUP : POLLOUT), 0};
  timespec at_once = {};
  long ready = suspect_count ? sys::call(SYS_ppoll, sys::word(looks), suspect_count, sys::word(&at_once), 0, 8) : 0;
  unsigned kept = 0;
  for (unsigned i = 0; i < suspect_count; i++) {
    Descriptor* d = descriptor(suspects[i].fd);
    bool found = ready > 0 && looks[i].revents;
    uint16_t flags = d ? d->flags.load(std::memory_order_relaxed) : 0;
    if (!found && (flags & Descriptor::kShared) && !(flags & Descriptor::kNonblocking)) {
      long status = sys::call(SYS_fcntl, suspects[i].fd, F_GETFL);
      found = status >= 0 && (status & O_NONBLOCK);
      if (found) d->flags |= Descriptor::kNonblocking;
    }
    if (found) suspects[kept++] = suspects[i];
  }
  suspect_count = kept;
}

// True: it still waited, and does no more.
bool rescue(const Suspect& suspect) {
  Descriptor* d = descriptor(suspect.fd);
  if (!d) return false;
  Locked locked(d->lock);
  for (WaitNode* node = d->ready[(int)suspect.direction].waiters.head; node; node = node->next) {
    if (node->waiter != &suspect.coroutine->waiter || node->ticket != suspect.ticket) continue;
    count(Metric::fd_rescues);
    // Nothing the table says of the number is believed any more, its registration least of all.
    d->registered.store(0, std::memory_order_relaxed);
    if (d->kind.load(std::memory_order_relaxed) != (uint8_t)DescriptorKind::internal &&
        !(d->flags.load(std::memory_order_relaxed) & Descriptor::kNonblocking))
      d->kind.store((uint8_t)DescriptorKind::unknown, std::memory_order_relaxed);
    for (Direction direction : {Direction::read, Direction::write}) {
      raise_locked(d, direction);
      wake_locked(d, direction, true);
    }
    return true;
  }
  return false;
}

}  // namespace

// A wait is looked at once. Found ready, it is left alone until the next call: the event may just be on its way.
void poller_rescue(uint64_t now) {
  // A wait is lost when its worker has had a whole look since the descriptor was ready, and the wait goes on.
  unsigned confirmed = 0, late = 0;
  Suspect still_late[kLooksAtOnce / 4];
  for (unsigned i = 0; i < suspect_count; i++) {
    const Suspect& suspect = suspects[i];
    if (ticket_of_wait(suspect.coroutine) != suspect.ticket) continue;
    if (!suspect.home || looked_since(suspect.home, suspect.looks)) {
      suspects[confirmed++] = suspect;
    } else if (late < kLooksAtOnce / 4) {
      worker_wake(suspect.home);
      still_late[late++] = suspect;
    } else {
      suspect.coroutine->rescued = false;  // another time
    }
  }
  suspect_count = confirmed;
  if (confirmed) {
    keep_ready_suspects();
    for (unsigned i = 0; i < suspect_count; i++) {
      const Suspect& suspect = suspects[i];
      if (!rescue(suspect)) continue;
      log(Level::info, "coroutine %u waited to %s descriptor %d, which was ready without an event",
          suspect.coroutine->id, suspect.direction == Direction::read ? "read" : "write", suspect.fd);
    }
  }
  for (suspect_count = 0; suspect_count < late; suspect_count++) suspects[suspect_count] = still_late[suspect_count];
  uint32_t slots = coroutine_slots();
  uint32_t looked = slots < kSlotsAtOnce ? slots : kSlotsAtOnce;
  for (; looked && suspect_count < kLooksAtOnce; looked--) {
    if (next_slot >= slots) next_slot = 0;
    Coroutine* coroutine = coroutine_at(next_slot++);
    if (coroutine->state.load(std::memory_order_relaxed) != State::parked || coroutine->rescued) continue;
    WaitKind kind = (WaitKind)coroutine->wait_kind.load(std::memory_order_relaxed);
    if (kind != WaitKind::fd_read && kind != WaitKind::fd_write && kind != WaitKind::poll) continue;
    uint64_t since = coroutine->since, ticket = ticket_of_wait(coroutine);
    if (!ticket || since == kNever || now < since + kLookAfter) continue;
    coroutine->rescued = true;
    if (kind == WaitKind::poll)
      wake(&coroutine->waiter, ticket, Wake::unparked);  // it looks for itself
    else
      suspects[suspect_count++] = {
          coroutine, ticket, coroutine->wait_fd, kind == WaitKind::fd_read ? Direction::read : Direction::write,
          nullptr,   0};
  }
  keep_ready_suspects();
  for (unsigned i = 0; i < suspect_count; i++) {
    if (suspects[i].home) continue;
    Descriptor* d = descriptor(suspects[i].fd);
    unsigned poller = d ? __atomic_load_n(&d->poller, __ATOMIC_RELAXED) : 0;
    if (!poller) continue;
    suspects[i].home = worker_at(poller - 1u);
    suspects[i].looks = suspects[i].home->looks_begun.load(std::memory_order_acquire);
  }
}

// The child has the forking thread alone and, in its copy of the descriptor table, all of the parent's pollers.
void poller_reset() {
  table_lock.reset();
  numbers_lock.reset();
  suspect_count = 0;
  next_slot = 0;
  if (!descriptor_table) return;
  int kept[16];
  unsigned kept_count = 0;
  for (int fd = next_internal_fd(0); fd >= 0; fd = next_internal_fd(fd + 1)) {
    bool ours = descriptor(fd)->sleepers != 0;
    for (unsigned i = 0; i < worker_count(); i++)
      if (worker_at(i)->epoll_fd == fd || worker_at(i)->event_fd == fd) ours = true;
    if (ours)
      sys::close(fd);
    else if (kept_count < 16)
      kept[kept_count++] = fd;
  }
  // Zero pages are a table that knows nothing, its locks free.
  sys::madvise(descriptor_table, descriptor_count * sizeof(Descriptor), MADV_DONTNEED);
  lowest_internal.store(kMaxDescriptors, std::memory_order_relaxed);
  highest_internal.store(-1, std::memory_order_relaxed);
  for (unsigned i = 0; i < kept_count; i++) mark_internal(kept[i]);
}

}  // namespace weft
