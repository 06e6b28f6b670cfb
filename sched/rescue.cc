// SPDX-License-Identifier: Apache-2.0
// The monitor's look at waits on descriptors that last: the one way to find a descriptor that was closed or replaced past the hooks.
//
//   suspect   a wait older than 100 ms whose descriptor was ready when it was looked at; each wait is looked at once
//   lost      a suspect still waiting after its worker has looked into its epoll from beginning to end, and no event came, nor is one
//             in the hands of another waiter. It is counted and woken, and nothing the table says of the number is believed any more
//
// A wait for several descriptors is simply woken once a call; its hook looks, and counts it if no event had come.
#include <fcntl.h>
#include <initializer_list>
#include <poll.h>

#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/poller_parts.h"
#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

std::atomic<bool> short_reads_drain{true};

void short_reads_do_not_drain() { short_reads_drain.store(false, std::memory_order_relaxed); }

namespace {

constexpr uint64_t kLookAfter = 100'000'000;
constexpr unsigned kLooksAtOnce = 1024;
constexpr int kSettleNaps = 50;  // of a millisecond each
constexpr uint32_t kSlotsAtOnce = 8192;

struct Suspect {
  Coroutine* coroutine;
  uint32_t id;  // while it waited
  uint64_t ticket;
  int fd;
  Direction direction;
  Worker* home;    // whose epoll has the descriptor
  uint32_t looks;  // home's, when the descriptor was found ready
};

// Monitor only.
WEFT_LARGE Suspect suspects[kLooksAtOnce];
unsigned suspect_count;
uint32_t next_slot;
WEFT_LARGE pollfd looks[kLooksAtOnce];

uint64_t ticket_of_wait(const Coroutine* coroutine) {
  uint64_t word = coroutine->waiter.word.load(std::memory_order_acquire);
  return (word & Waiter::kReasonMask) ? 0 : word >> 8;
}

bool to_be_looked_at(const Coroutine* coroutine) {
  if (coroutine->state.load(std::memory_order_relaxed) != State::parked ||
      __atomic_load_n(&coroutine->rescued, __ATOMIC_RELAXED))
    return false;
  WaitKind kind = (WaitKind)coroutine->wait_kind.load(std::memory_order_relaxed);
  return kind == WaitKind::fd_read || kind == WaitKind::fd_write || kind == WaitKind::poll;
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
    const Readiness& ready = d->ready[(int)suspect.direction];
    uint32_t events = ready.events.load(std::memory_order_relaxed);
    if (events != ((PollWait*)node)->seen && events != ready.drained.load(std::memory_order_relaxed)) {
      // An event came and woke another, who has not had his turn yet: what he leaves he passes on.
      __atomic_store_n(&suspect.coroutine->rescued, false, __ATOMIC_RELAXED);
      return false;
    }
    count(Metric::fd_rescues);
    if (suspect.direction == Direction::read && (d->flags.load(std::memory_order_relaxed) & Descriptor::kShortRead))
      short_reads_do_not_drain();
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
      __atomic_store_n(&suspect.coroutine->rescued, false, __ATOMIC_RELAXED);  // another time
    }
  }
  suspect_count = confirmed;
  if (confirmed) {
    keep_ready_suspects();
    for (unsigned i = 0; i < suspect_count; i++) {
      const Suspect& suspect = suspects[i];
      if (!rescue(suspect)) continue;
      log(Level::info, "coroutine %u waited to %s descriptor %d, which was ready without an event", suspect.id,
          suspect.direction == Direction::read ? "read" : "write", suspect.fd);
    }
  }
  for (suspect_count = 0; suspect_count < late; suspect_count++) suspects[suspect_count] = still_late[suspect_count];
  uint32_t slots = coroutine_slots();
  uint32_t looked = slots < kSlotsAtOnce ? slots : kSlotsAtOnce;
  for (; looked && suspect_count < kLooksAtOnce; looked--) {
    if (next_slot >= slots) next_slot = 0;
    Coroutine* coroutine = coroutine_at(next_slot++);
    if (!to_be_looked_at(coroutine)) continue;
    WaitKind kind = (WaitKind)coroutine->wait_kind.load(std::memory_order_relaxed);
    uint64_t since = __atomic_load_n(&coroutine->since, __ATOMIC_RELAXED), ticket = ticket_of_wait(coroutine);
    if (!ticket || now < since + kLookAfter) continue;
    __atomic_store_n(&coroutine->rescued, true, __ATOMIC_RELAXED);
    if (kind == WaitKind::poll)
      wake(&coroutine->waiter, ticket, Wake::unparked);  // it looks for itself
    else
      suspects[suspect_count++] = {coroutine,
                                   __atomic_load_n(&coroutine->id, __ATOMIC_RELAXED),
                                   ticket,
                                   __atomic_load_n(&coroutine->wait_fd, __ATOMIC_RELAXED),
                                   kind == WaitKind::fd_read ? Direction::read : Direction::write,
                                   nullptr,
                                   0};
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

bool poller_rescue_pending() {
  if (suspect_count) return true;
  uint32_t slots = coroutine_slots();
  for (uint32_t i = 0; i < slots; i++) {
    if (to_be_looked_at(coroutine_at(i))) return true;
  }
  return false;
}

void rescue_reset() {
  suspect_count = 0;
  next_slot = 0;
}

bool poller_settle(int fd) {
  Descriptor* d = descriptor(fd);
  Coroutine* self = woven();
  if (!d || !self) return true;
  d->lock.lock();
  Worker* home = d->poller ? worker_at(d->poller - 1u) : nullptr;
  d->lock.unlock();
  if (!home) return true;
  uint32_t begun = home->looks_begun.load(std::memory_order_acquire);
  for (int i = 0; i < kSettleNaps && !looked_since(home, begun); i++) {
    worker_wake(home);
    enter(self);
    uint64_t ticket = self->waiter.begin(false);
    will_wait_on(self, WaitKind::sleep, nullptr);
    block_coroutine(self, ticket, deadline_in(1'000'000));
    leave(self);
  }
  return looked_since(home, begun);
}

}  // namespace weft
