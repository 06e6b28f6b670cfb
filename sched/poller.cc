// SPDX-License-Identifier: Apache-2.0
// The poller: registration with epoll, waits on descriptors, and the events that end them.
//
//   edge        an event of epoll; it raises the counter of its direction and wakes one waiter, or all where the descriptor
//               has hung up or failed
//   poll wait   a waiter that looks and takes nothing: whoever is behind it is woken too
//
// Races, and who must win:
//   edge against park     the edge raises the counter and looks at the queue under the descriptor's lock; the waiter compares the
//                         counter and enqueues under it
//   signal against park   the sender marks the signal pending, then tries to end the wait; the waiter begins its wait, passes a locked
//                         instruction, then looks for pending signals
// A node is touched by wakers under the lock alone, and for the last time before wake(): the frame it is in may go at once.
//
// Rejected: one-shot registration, re-armed at each wait: an epoll_ctl a wait, 0.8 times the speed of native threads.
#include "sched/poller_parts.h"

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/log.h"
#include "sched/metrics.h"
#include "sched/options.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"

namespace weft {

static_assert(kReadEvents == (EPOLLIN | EPOLLPRI | EPOLLRDHUP) && kWriteEvents == EPOLLOUT);
static_assert(offsetof(PollWait, node) == 0);

uint64_t event_data(const Descriptor* d, int fd) {
  return (uint64_t)d->generation.load(std::memory_order_relaxed) << 32 | (uint32_t)fd;
}
long control(Worker* worker, int operation, int fd, uint32_t events, uint64_t data) {
  epoll_event event;
  event.events = events;
  event.data.u64 = data;
  return sys::call(SYS_epoll_ctl, worker->epoll_fd, operation, fd, sys::word(&event));
}

void raise_locked(Descriptor* d, Direction direction) {
  std::atomic<uint32_t>& events = d->ready[(int)direction].events;
  // Release pairs with events_seen(): who sees the edge sees what came before it.
  events.store(events.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

unsigned wake_locked(Descriptor* d, Direction direction, bool everyone, uint32_t events) {
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

namespace {

constexpr uint32_t kWorkerEvent = ~0u;  // in place of a descriptor: the worker's eventfd
constexpr unsigned kEventsAtOnce = 256;
// Events between the fetch of a descriptor into the cache, that of who waits for it, and their own.
constexpr int kFetchAhead = 4;

// How events are asked for, the best way first; a sandbox may forbid one, and may come when the program has long been running.
enum class Way : uint8_t { pwait2, pwait, wait, poll };
std::atomic<Way> way{Way::pwait2};

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

// Always inline: see fetch_ahead in sched/worker.cc.
[[gnu::always_inline]] inline void fetch_descriptor(int fd) {
  if (Descriptor* d = descriptor(fd)) __builtin_prefetch(d, 1);
}
// Without the lock: at worst the wrong line is fetched.
[[gnu::always_inline]] inline void fetch_waiter(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d) return;
  const WaitNode* node = __atomic_load_n(&d->ready[(int)Direction::read].waiters.head, __ATOMIC_RELAXED);
  if (!node) return;
  __builtin_prefetch(node, 1);
  __builtin_prefetch((const char*)node - 64, 1);  // mostly in the coroutine, whose own first line is the one before
}

unsigned handle_event(Worker* worker, uint64_t data, uint32_t events) {
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
    // The peer has gone, so this thread is likely to end: what it holds, a place among a server's connections first of all, is free
    // again. Its turn behind thousands of others would be a long time to hold it; and it goes first but once in the connection's life.
    worker->wakes_first = events & (EPOLLHUP | EPOLLRDHUP);
    woken += wake_locked(d, Direction::read, over || (events & (EPOLLPRI | EPOLLRDHUP)), events);
    worker->wakes_first = false;
  }
  if (over || (events & kWriteEvents)) {
    raise_locked(d, Direction::write);
    woken += wake_locked(d, Direction::write, over, events);
  }
  return woken;
}

bool must_act(const Coroutine* self) { return signals_wanted(self) || cancel_wanted(self) || calls_end_with(self); }

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

enum class Joined : uint8_t {
  queued,
  ready,
  must_act,
  unpollable,
  refused,  // it could be polled, but epoll has no memory or no place for it
};

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
    return error == -EBADF ? Joined::ready  // a closed one: the next try says so
           : d->flags.load(std::memory_order_relaxed) & Descriptor::kUnpollable ? Joined::unpollable
                                                                                : Joined::refused;
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
// Outside the runtime: the first refusal is said.
FdWake as_fd_wake(Joined joined) {
  if (joined == Joined::refused) {
    static bool said;
    count(Metric::fallbacks);
    log_once(
        &said, Level::warn,
        "epoll takes no further descriptor (memory, or fs.epoll.max_user_watches): calls that wait on it keep their "
        "kernel threads");
  }
  return joined == Joined::ready      ? FdWake::ready
         : joined == Joined::must_act ? FdWake::interrupted
                                      : FdWake::unpollable;
}

}  // namespace

FdWake wait_fd(int* fd, Direction direction, uint32_t seen, uint64_t deadline) {
  Coroutine* self = woven();
  Worker* worker = enter(self);
  PollWait& wait = self->fd_wait;
  wait.fd.store(*fd, std::memory_order_relaxed);
  wait.direction = direction;
  wait.seen = seen;
  uint64_t ticket = self->waiter.begin(true);
  Joined joined = join(&wait, self, worker, ticket, 0);
  if (joined != Joined::queued) {
    self->waiter.begin(false);  // nobody shall think that he has ended this wait
    leave(self);
    return as_fd_wake(joined);
  }
  __atomic_store_n(&self->wait_fd, *fd, __ATOMIC_RELAXED);
  __atomic_store_n(&self->rescued, false, __ATOMIC_RELAXED);
  will_wait(self, direction == Direction::read ? WaitKind::fd_read : WaitKind::fd_write);
  Wake reason = block_coroutine(self, ticket, deadline);
  if (reason != Wake::unparked) unlink(&wait);  // who unparks it has taken it out
  leave(self);
  *fd = wait.fd.load(std::memory_order_acquire);
  return as_fd_wake(reason);
}

FdWake wait_any(PollWait* waits, unsigned wait_count, uint64_t deadline, PollCall* call, const OtherQueues* others) {
  Coroutine* self = woven();
  Worker* worker = enter(self);
  uint64_t ticket = self->waiter.begin(true);
  call->rescued = false;
  FdWake result = FdWake::ready;
  unsigned queued = 0;
  bool blocks = true;
  Joined joined = Joined::queued;
  for (; queued < wait_count; queued++) {
    joined = join(&waits[queued], self, worker, ticket, kPollTag);
    if (joined == Joined::queued) continue;
    blocks = false;
    break;
  }
  bool joins_others = others && blocks;
  if (joins_others) blocks = others->join(others->argument, &self->waiter, ticket);
  if (!wait_count) {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // between begin() and the look, as the lock is otherwise
    if (must_act(self)) {
      result = FdWake::interrupted;
      blocks = false;
    }
  }
  if (blocks) {
    __atomic_store_n(&self->wait_fd, wait_count ? waits[0].fd.load(std::memory_order_relaxed) : -1, __ATOMIC_RELAXED);
    self->wait_list = waits;
    self->wait_count = wait_count;
    if (!call->since) call->since = coarse_now.load(std::memory_order_relaxed);
    __atomic_store_n(&self->rescued, call->looked_at, __ATOMIC_RELAXED);
    will_wait(self, others ? WaitKind::select : wait_count ? WaitKind::poll : WaitKind::sleep, call->since);
    result = as_fd_wake(block_coroutine(self, ticket, deadline));
    call->rescued = !call->looked_at && __atomic_load_n(&self->rescued, __ATOMIC_RELAXED);
    call->looked_at |= call->rescued;
  } else {
    self->waiter.begin(false);
  }
  for (unsigned i = 0; i < queued; i++) unlink(&waits[i]);
  if (joins_others) others->leave(others->argument);
  leave(self);
  return joined == Joined::queued ? result : as_fd_wake(joined);
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

// ---- for worker and monitor

int poller_open(Worker* worker) {
  make_descriptor_table();  // without it descriptors are not woven
  if (!options.epoll_pwait2 && way.load(std::memory_order_relaxed) == Way::pwait2)
    way.store(Way::pwait, std::memory_order_relaxed);
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
  // Whoever may make one need not be allowed to wait on it.
  epoll_event none;
  if (result == 0) result = sys::call(SYS_epoll_pwait, worker->epoll_fd, sys::word(&none), 1, 0, 0, 0);
  if (result == -EINTR) result = 0;
  if (result < 0) poller_close(worker);
  return result < 0 ? (int)result : 0;
}

void poller_close(Worker* worker) {
  for (std::atomic<int>* fd : {&worker->epoll_fd, &worker->event_fd}) {
    if (*fd >= 0) sys::close(*fd);
    if (Descriptor* d = descriptor(*fd)) {
      Locked locked(d->lock);
      renew_locked(d);
    }
    *fd = -1;
  }
}

namespace {

// Epoll tells nothing any more: the descriptors that are waited for are asked, so many at a time.
long look_without_epoll(Worker* worker, epoll_event* events, bool waits) {
  static std::atomic<int> next{0};
  pollfd asked[kEventsAtOnce];
  unsigned count_asked = 0;
  int last = highest_known_fd(), fd = next.load(std::memory_order_relaxed);
  for (int i = 0; i <= last && count_asked < kEventsAtOnce; i++, fd++) {
    if (fd > last) fd = 0;
    Descriptor* d = descriptor(fd);
    if (!d || !d->registered.load(std::memory_order_relaxed)) continue;
    Locked locked(d->lock);
    if (d->poller != worker->index + 1u) continue;
    short wanted = 0;
    if (d->ready[(int)Direction::read].waiters.head) wanted |= POLLIN | POLLPRI | POLLRDHUP;
    if (d->ready[(int)Direction::write].waiters.head) wanted |= POLLOUT;
    if (!wanted) continue;
    events[count_asked].data.u64 = event_data(d, fd);
    asked[count_asked++] = {fd, wanted, 0};
  }
  next.store(fd, std::memory_order_relaxed);
  timespec time = to_timespec(waits ? 1'000'000 : 0);
  long found = sys::call(SYS_ppoll, sys::word(asked), count_asked, sys::word(&time), 0, 0);
  long told = 0;
  for (unsigned i = 0; found > 0 && i < count_asked; i++) {
    if (!asked[i].revents) continue;
    events[told].data.u64 = events[i].data.u64;
    events[told++].events = (uint32_t)asked[i].revents;
  }
  return told;
}

bool is_forbidden(long result) { return result == -ENOSYS || result == -EPERM || result == -EACCES; }

// As epoll_wait(2).
long look(Worker* worker, epoll_event* events, uint64_t deadline) {
  int epoll_fd = worker->epoll_fd.load(std::memory_order_relaxed);
  uint64_t now = deadline && deadline != kNever ? now_ns() : 0;
  long left = deadline == kNever ? -1 : deadline > now ? (long)((deadline - now + 999999) / 1000000) : 0;
  if (left > 0x7fffffff) left = 0x7fffffff;
  for (;;) {
    Way tried = way.load(std::memory_order_relaxed);
    long found;
    if (tried == Way::pwait2 && deadline > now && deadline != kNever) {
      timespec exact = to_timespec(deadline - now);
      found = sys::call(SYS_epoll_pwait2, epoll_fd, sys::word(events), kEventsAtOnce, sys::word(&exact), 0, 0);
    } else if (tried <= Way::pwait) {
      tried = Way::pwait;
      found = sys::call(SYS_epoll_pwait, epoll_fd, sys::word(events), kEventsAtOnce, left, 0, 0);
    } else if (tried == Way::wait) {
      found = sys::call(cpu::kEpollWait, epoll_fd, sys::word(events), kEventsAtOnce, left);
    } else {
      return look_without_epoll(worker, events, left != 0);
    }
    if (!is_forbidden(found)) return found;
    Way next = (Way)((int)tried + 1);
    way.store(next, std::memory_order_relaxed);
    static bool said;
    if (next == Way::poll)
      log_once(&said, Level::warn,
               "the process may not wait on epoll any more; descriptors are looked at each millisecond");
  }
}

}  // namespace

unsigned poller_poll(Worker* worker, uint64_t deadline) {
  epoll_event events[kEventsAtOnce];
  count(worker->metrics, Metric::polls);
  uint32_t begun = worker->looks_begun.load(std::memory_order_relaxed) + 1;
  worker->looks_begun.store(begun, std::memory_order_release);
  long found = look(worker, events, deadline);
  worker_awake(worker);
  unsigned woken = 0;
  for (long i = 0; i < found; i++) {
    if (i + 2 * kFetchAhead < found) fetch_descriptor((int)(uint32_t)events[i + 2 * kFetchAhead].data.u64);
    if (i + kFetchAhead < found) fetch_waiter((int)(uint32_t)events[i + kFetchAhead].data.u64);
    if ((uint32_t)events[i].data.u64 != kWorkerEvent)
      woken += handle_event(worker, events[i].data.u64, events[i].events);
  }
  worker->looks_done.store(begun, std::memory_order_release);
  return woken;
}

void poller_reset() {
  rescue_reset();
  descriptors_reset();
}

}  // namespace weft
