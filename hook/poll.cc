// SPDX-License-Identifier: Apache-2.0
// poll, select and their kin, and the program's own epoll loops.
//
// A call looks with the raw call and no timeout, and parks in the queues of all its descriptors if there is nothing;
// the kernel alone fills in the result, so every oddity is its own. The look is left out before a park where each
// descriptor is known to be drained. select looks with pselect6 on copies of the sets. epoll_wait that would wait pins
// its coroutine: the loop belongs to a thread.
#include "hook/transfer.h"

#include <alloca.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>

namespace weft {

namespace {

constexpr unsigned kWaitsOnStack = 64;
constexpr unsigned kBitsOnStack = 1024;
constexpr short kKnownEvents =
    POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP | POLLPRI | POLLRDBAND | POLLWRBAND;
constexpr short kWriteInterest = POLLOUT | POLLWRNORM | POLLWRBAND;
constexpr short kReadInterest = POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP;

struct Asked {
  int fd;          // as the program gave it
  bool for_data;   // a look that finds nothing there says that a read would wait
  unsigned place;  // in the program's array
};
constexpr size_t kBytesEach = sizeof(PollWait) + sizeof(Asked);

// A call that waits for several descriptors.
struct Polling {
  Coroutine* self;
  uint64_t deadline;
  PollWait* waits;
  Asked* asked;
  unsigned count;
  bool may_skip_look;    // every descriptor is asked about events that the poller sees
  bool for_signals;      // a signalfd is among them, which only the real call can answer for
  const uint64_t* mask;  // ppoll's and pselect's signal mask, or null

  void place(void* memory, unsigned room) {
    waits = (PollWait*)memory;
    asked = (Asked*)(waits + room);
  }
  void add(int fd, Direction direction, bool for_data, unsigned place) {
    PollWait& wait = waits[count];
    wait.node = {};
    wait.fd.store(fd, std::memory_order_relaxed);
    wait.direction = direction;
    asked[count++] = {fd, for_data, place};
  }
};

// Takes the counters before a look. True: no look is needed, nothing can be there.
bool take_counters(Polling* polling) {
  bool drained = polling->may_skip_look;
  for (unsigned i = 0; i < polling->count; i++) {
    PollWait& wait = polling->waits[i];
    wait.node.key = 0;  // no event yet
    Descriptor* d = known(wait.fd.load(std::memory_order_relaxed));
    if (!d) {
      wait.seen = 0;
      drained = false;
      continue;
    }
    if (kind_of(d) == DescriptorKind::signals) polling->for_signals = true;
    wait.seen = events_seen(d, wait.direction);
    if (worth_trying(d, wait.direction) || has(d, Descriptor::kNoDrainHint)) drained = false;
  }
  return drained;
}

// Room for a write is another matter: a small one may still go where poll says there is none.
// ready() says of which places of the program's array a look has found something.
template <class Ready>
void mark_others_drained(Polling* polling, Ready ready) {
  for (unsigned i = 0; i < polling->count; i++) {
    if (!polling->asked[i].for_data || ready(polling->asked[i].place)) continue;
    if (Descriptor* d = descriptor(polling->asked[i].fd)) mark_drained(d, Direction::read, polling->waits[i].seen);
  }
}

bool events_moved(const Polling* polling) {
  for (unsigned i = 0; i < polling->count; i++) {
    Descriptor* d = descriptor(polling->asked[i].fd);
    if (!d || events_seen(d, polling->waits[i].direction) != polling->waits[i].seen) return true;
  }
  return false;
}

// After the monitor's wake: there is something, and no event of it came, nor is one on its way.
bool was_lost(const Polling* polling) {
  if (events_moved(polling)) return false;
  for (unsigned i = 0; i < polling->count; i++)
    if (!poller_settle(polling->asked[i].fd)) return false;
  return !events_moved(polling);
}

// A duplicate that a closed descriptor left behind is not looked at again: the program's number is.
void give_back_duplicates(Polling* polling) {
  for (unsigned i = 0; i < polling->count; i++) {
    int fd = polling->waits[i].fd.load(std::memory_order_relaxed);
    if (fd == polling->asked[i].fd) continue;
    release_duplicate(fd, polling->asked[i].fd);
    polling->waits[i].fd.store(polling->asked[i].fd, std::memory_order_relaxed);
  }
}

// As the kernel does it: the mask holds while the call waits, and for the handlers that end it.
uint64_t exchange_mask(Coroutine* self, uint64_t mask) {
  constexpr uint64_t kNeverBlocked =
      1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1) | 1ull << (32 - 1) | 1ull << (33 - 1);
  uint64_t before = self->signal_mask;
  __atomic_store_n(&self->signal_mask, mask & ~kNeverBlocked, __ATOMIC_SEQ_CST);
  signal_mask_in_use(self->signal_mask);
  return before;
}

FdWake wait_with_mask(Polling* polling, bool waits, PollCall* call, int* ends) {
  Coroutine* self = polling->self;
  uint64_t before = polling->mask ? exchange_mask(self, *polling->mask) : 0;
  FdWake wake = FdWake::timed_out;
  if (waits) {
    wake = wait_any(polling->waits, polling->count, polling->deadline, call);
    give_back_duplicates(polling);
  } else if (signals_wanted(self)) {
    wake = FdWake::interrupted;
  }
  *ends = 0;
  if (wake == FdWake::interrupted) {
    if (cancel_wanted(self)) {
      if (polling->mask) exchange_mask(self, before);
      cancellation_point(self);
    }
    *ends = interrupted_call_ends(self, false);
  }
  if (polling->mask) set_signal_mask(self, before);
  return wake;
}

// Has what epoll said when it ended the wait the whole answer: data on the one descriptor of the call, and nothing else? Of several it
// has not: an event may be that of data which has been read since, and who is told so may block in reading one while another has data.
// A listener is looked at: of those who were woken for a connection one gets it.
bool told(const Polling* polling) {
  uint32_t events = 0;
  for (unsigned i = 0; i < polling->count; i++) {
    const PollWait& wait = polling->waits[i];
    if (polling->asked[i].fd != polling->asked[0].fd || wait.direction != Direction::read) return false;
    events |= (uint32_t)wait.node.key;
  }
  Descriptor* d = polling->count ? descriptor(polling->asked[0].fd) : nullptr;
  bool plain = d && is_socket(d) && kind_of(d) != DescriptorKind::listener;
  return plain && (events & ~kWriteEvents) == EPOLLIN;
}

// What is queued for the coroutine shows in a signalfd once its kernel thread has it.
template <class Look>
long look_with_signals(const Coroutine* self, Look look) {
  if (!self->signals_pending.load(std::memory_order_relaxed)) [[likely]]
    return look();
  return blocking_call(RegionKind::interruptible, look);
}

// The loop behind all of them. answer(): the result where the one descriptor has data, 0 if nobody asked for that.
// kMakeRealCall: epoll does not take one of the descriptors, or cannot tell what is in it.
template <class Look, class Answer>
long weave_poll(Polling* polling, bool waits, Look look, Answer answer) {
  PollCall call;
  for (;;) {
    // The monitor's wake is for a look, whatever is known of the descriptors.
    if (!waits || !take_counters(polling) || call.rescued) {
      if (polling->for_signals) return kMakeRealCall;
      long found = look_with_signals(polling->self, look);
      if (found > 0 && call.rescued && was_lost(polling)) {
        count(Metric::fd_rescues);
        for (unsigned i = 0; i < polling->count; i++)
          if (Descriptor* d = descriptor(polling->asked[i].fd); d && has(d, Descriptor::kShortRead))
            short_reads_do_not_drain();
      }
      if (found != 0 || (!waits && !polling->mask)) return found;
      mark_others_drained(polling, [](unsigned) { return false; });
    }
    int ends;
    FdWake wake = wait_with_mask(polling, waits, &call, &ends);
    // An edge since it parked: woken twice, and nothing was lost. Looked at before the counters are taken anew.
    if (call.rescued && events_moved(polling)) call.rescued = false;
    if (ends) return -ends;
    if (!waits) return 0;
    if (wake == FdWake::timed_out) return look();
    if (wake == FdWake::unpollable) return kMakeRealCall;
    if (wake == FdWake::ready && told(polling))
      if (long found = answer()) return found;
  }
}

// Memory for the waits of a large set; not the program's malloc.
struct WaitMemory {
  void* memory = nullptr;
  size_t size = 0;
  bool get(size_t bytes) {
    size = bytes;
    memory = sys::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (sys::failed(memory)) memory = nullptr;
    return memory;
  }
  void give_back() {
    if (memory) sys::munmap(memory, size);
  }
};

uint64_t time_of(const timespec* time) {
  uint64_t nanoseconds;
  if (__builtin_mul_overflow((uint64_t)time->tv_sec, 1'000'000'000u, &nanoseconds)) return kNever;
  return nanoseconds + (uint64_t)time->tv_nsec;
}
bool valid(const timespec* time) { return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1'000'000'000; }

timespec left_until(uint64_t deadline) {
  uint64_t now = now_ns();
  return to_timespec(deadline > now ? deadline - now : 0);
}

// `timeout` in nanoseconds, kNever for none.
long woven_poll(Coroutine* self, pollfd* fds, nfds_t count, uint64_t timeout, const uint64_t* mask) {
  timespec at_once = {};
  auto look = [&] { return sys::call(SYS_ppoll, sys::word(fds), (long)count, sys::word(&at_once), 0, 8); };
  Polling polling = {self, kNever, nullptr, nullptr, 0, true, false, mask};
  if (!timeout) return weave_poll(&polling, false, look, [] { return 0L; });
  if (timeout != kNever) polling.deadline = deadline_in(timeout);
  if (count > (nfds_t)kMaxDescriptors || (count && !fds)) return look();  // the kernel says what is wrong with it
  unsigned waits = (unsigned)count * 2;
  WaitMemory memory;
  if (waits <= kWaitsOnStack)
    polling.place(alloca(waits * kBytesEach), waits);
  else if (memory.get(waits * kBytesEach))
    polling.place(memory.memory, waits);
  else
    return -ENOMEM;
  for (nfds_t i = 0; i < count; i++) {
    if (fds[i].fd < 0) continue;
    short events = fds[i].events;
    if (events & ~kKnownEvents) polling.may_skip_look = false;
    if (events & kWriteInterest) polling.add(fds[i].fd, Direction::write, false, (unsigned)i);
    if ((events & kReadInterest) || !(events & kWriteInterest))
      polling.add(fds[i].fd, Direction::read, events & (POLLIN | POLLRDNORM), (unsigned)i);
  }
  // A look that is left out would leave the program's revents as they were.
  for (nfds_t i = 0; i < count; i++) fds[i].revents = 0;
  long result = weave_poll(&polling, true, look, [&] {
    long found = 0;
    for (nfds_t i = 0; i < count; i++) {
      fds[i].revents = fds[i].fd < 0 ? 0 : fds[i].events & (POLLIN | POLLRDNORM);
      if (fds[i].revents) found++;
    }
    return found;
  });
  if (result > 0) mark_others_drained(&polling, [&](unsigned place) { return fds[place].revents & ~kWriteInterest; });
  if (result == kMakeRealCall)
    result = cancellable_call(RegionKind::lasting, [&] {
      timespec left = left_until(polling.deadline);
      return sys::call(SYS_ppoll, sys::word(fds), (long)count, polling.deadline == kNever ? 0 : sys::word(&left),
                       sys::word(mask), 8);
    });
  memory.give_back();
  return result;
}

// The kernel reads no more of a set than its descriptor table is long, and programs rely on that; with weft's own
// descriptors up high the table is longer than the program made it.
int clamped(int count) {
  if (count <= (int)kBitsOnStack || !tracking()) return count;
  int longest = (highest_known_fd() + 64) / 64 * 64;
  if (longest < (int)kBitsOnStack) longest = (int)kBitsOnStack;
  return count < longest ? count : longest;
}

struct Sets {
  fd_set* set[3];  // read, write, except; any may be null
};

// select's loop on copies of the sets, because a look clears what it does not find.
long woven_select(Coroutine* self, int count, const Sets& sets, uint64_t timeout, const uint64_t* mask,
                  uint64_t* deadline) {
  size_t bytes = ((size_t)count + 63) / 64 * 8;
  WaitMemory copies;
  char* copy;
  if (count <= (int)kBitsOnStack)
    copy = (char*)alloca(3 * bytes);
  else if (copies.get(3 * bytes))
    copy = (char*)copies.memory;
  else
    return -ENOMEM;
  auto call = [&](const timespec* time, const uint64_t* signals) {
    long argument[3];
    for (int i = 0; i < 3; i++) {
      if (sets.set[i]) __builtin_memcpy(copy + (size_t)i * bytes, sets.set[i], bytes);
      argument[i] = sets.set[i] ? sys::word(copy + (size_t)i * bytes) : 0;
    }
    struct {
      const uint64_t* mask;
      size_t size;
    } masked = {signals, 8};
    timespec left = time ? *time : timespec{};
    return sys::call(SYS_pselect6, count, argument[0], argument[1], argument[2], time ? sys::word(&left) : 0,
                     sys::word(&masked));
  };
  timespec at_once = {};
  auto look = [&] { return call(&at_once, nullptr); };

  Polling polling = {self, kNever, nullptr, nullptr, 0, true, false, mask};
  if (timeout != kNever) polling.deadline = deadline_in(timeout);
  *deadline = polling.deadline;
  unsigned waits = 0;
  for (const fd_set* set : sets.set)
    for (size_t i = 0; set && i < bytes / 8; i++)
      waits += (unsigned)__builtin_popcountl((unsigned long)__FDS_BITS(set)[i]);
  WaitMemory memory;
  long result = -ENOMEM;
  if (waits <= kWaitsOnStack)
    polling.place(alloca(waits * kBytesEach + 1), waits);
  else if (memory.get(waits * kBytesEach))
    polling.place(memory.memory, waits);
  if (polling.waits) {
    for (int i = 0; i < 3; i++)
      for (int fd = 0; sets.set[i] && fd < count; fd++)
        if (__FDS_BITS(sets.set[i])[fd / 64] >> (fd % 64) & 1)
          polling.add(fd, i == 1 ? Direction::write : Direction::read, i == 0, (unsigned)fd);
    result = weave_poll(&polling, timeout != 0, look, [&] {
      int fd = polling.asked[0].fd;
      if (!sets.set[0] || !(__FDS_BITS(sets.set[0])[fd / 64] >> (fd % 64) & 1)) return 0L;
      __builtin_memset(copy, 0, 3 * bytes);
      ((unsigned long*)copy)[fd / 64] = 1ul << (fd % 64);
      return 1L;
    });
  }
  if (result == kMakeRealCall)
    result = cancellable_call(RegionKind::lasting, [&] {
      timespec left = left_until(polling.deadline);
      return call(polling.deadline == kNever ? nullptr : &left, mask);
    });
  if (result >= 0)
    for (int i = 0; i < 3; i++)
      if (sets.set[i]) __builtin_memcpy(sets.set[i], copy + (size_t)i * bytes, bytes);
  memory.give_back();
  copies.give_back();
  return result;
}

int poll_hook(Coroutine* self, pollfd* fds, nfds_t count, int timeout) {
  enter_call(self);
  return (int)as_errno(woven_poll(self, fds, count, timeout < 0 ? kNever : (uint64_t)timeout * 1'000'000u, nullptr));
}

int ppoll_hook(Coroutine* self, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  enter_call(self);
  if (timeout && !valid(timeout)) return (int)as_errno(-EINVAL);
  return (int)as_errno(woven_poll(self, fds, count, timeout ? time_of(timeout) : kNever, (const uint64_t*)mask));
}

// An epoll loop: what is there at once is taken by the coroutine, waiting is a kernel thread's.
template <class Take, class Wait>
int epoll_hook(bool waits, Take take, Wait wait) {
  Coroutine* self = woven();
  if (!self) return wait();
  enter_call(self);
  long found = look_with_signals(self, take);
  if (found != 0 || !waits) return (int)as_errno(found);
  pin_current(PinReason::epoll_loop);
  return wait();
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int poll(pollfd* fds, nfds_t count, int timeout) {
  Coroutine* self = woven();
  if (!self) return real().poll(fds, count, timeout);
  return poll_hook(self, fds, count, timeout);
}

WEFT_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
  Coroutine* self = woven();
  if (!self || room / sizeof(pollfd) < count) return real().__poll_chk(fds, count, timeout, room);
  return poll_hook(self, fds, count, timeout);
}

WEFT_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Coroutine* self = woven();
  if (!self) return real().ppoll(fds, count, timeout, mask);
  return ppoll_hook(self, fds, count, timeout, mask);
}

WEFT_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t room) {
  Coroutine* self = woven();
  if (!self || room / sizeof(pollfd) < count) return real().__ppoll_chk(fds, count, timeout, mask, room);
  return ppoll_hook(self, fds, count, timeout, mask);
}

WEFT_EXPORT int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
  count = clamped(count);
  Coroutine* self = woven();
  if (!self) return real().select(count, readable, writable, exceptional, timeout);
  enter_call(self);
  if (count < 0 || (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))) return (int)as_errno(-EINVAL);
  uint64_t time = kNever, deadline;
  if (timeout) {
    timespec exact = {timeout->tv_sec + timeout->tv_usec / 1'000'000, timeout->tv_usec % 1'000'000 * 1000};
    time = time_of(&exact);
  }
  long result = woven_select(self, count, {{readable, writable, exceptional}}, time, nullptr, &deadline);
  if (timeout && time) {
    timespec left = left_until(deadline);
    *timeout = {left.tv_sec, left.tv_nsec / 1000};
  }
  return (int)as_errno(result);
}

WEFT_EXPORT int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
                        const sigset_t* mask) {
  count = clamped(count);
  Coroutine* self = woven();
  if (!self) return real().pselect(count, readable, writable, exceptional, timeout, mask);
  enter_call(self);
  if (count < 0 || (timeout && !valid(timeout))) return (int)as_errno(-EINVAL);
  uint64_t deadline;
  return (int)as_errno(woven_select(self, count, {{readable, writable, exceptional}},
                                    timeout ? time_of(timeout) : kNever, (const uint64_t*)mask, &deadline));
}

WEFT_EXPORT int epoll_wait(int fd, epoll_event* events, int room, int timeout) {
  return epoll_hook(
      timeout != 0, [&] { return sys::call(SYS_epoll_pwait, fd, sys::word(events), room, 0, 0, 8); },
      [&] { return real().epoll_wait(fd, events, room, timeout); });
}

WEFT_EXPORT int epoll_pwait(int fd, epoll_event* events, int room, int timeout, const sigset_t* mask) {
  return epoll_hook(
      timeout != 0, [&] { return sys::call(SYS_epoll_pwait, fd, sys::word(events), room, 0, 0, 8); },
      [&] { return real().epoll_pwait(fd, events, room, timeout, mask); });
}

WEFT_EXPORT int epoll_pwait2(int fd, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask) {
  return epoll_hook(
      !timeout || timeout->tv_sec || timeout->tv_nsec,
      [&] { return sys::call(SYS_epoll_pwait, fd, sys::word(events), room, 0, 0, 8); },
      [&] { return real().epoll_pwait2(fd, events, room, timeout, mask); });
}
