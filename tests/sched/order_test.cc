// SPDX-License-Identifier: Apache-2.0
// Who runs first of those that are ready together. One worker, so that there is one order.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/coroutine.h"
#include "sched/poller.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"
#include "tests/sched/runtime_environment.h"

namespace weft {
namespace {

[[maybe_unused]] const int one_worker = setenv("WEFT_WORKERS", "1", 1);

struct Peer {
  int ends[2];
  char name;
  std::string* order;
  unsigned long thread = 0;

  static void* wait(void* argument) {
    auto* self = (Peer*)argument;
    int fd = self->ends[0];
    EXPECT_EQ(wait_fd(&fd, Direction::read, events_seen(descriptor(fd), Direction::read), kNever), FdWake::ready);
    *self->order += self->name;
    return nullptr;
  }
  bool waits() const {
    Descriptor* d = descriptor(ends[0]);
    Locked locked(d->lock);
    return d->ready[(int)Direction::read].waiters.head != nullptr;
  }
};

TEST(Order, WhosePeerHasGoneGoesFirst) {
  ASSERT_EQ(worker_count(), 1u);
  std::string order;
  Peer peers[4];
  for (char name = 'a'; name <= 'd'; name++) {
    Peer& peer = peers[name - 'a'];
    peer.name = name;
    peer.order = &order;
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, peer.ends), 0);
    for (int end : peer.ends) renew_descriptor(end);
    ASSERT_EQ(spawn(&peer.thread, Peer::wait, &peer, SpawnAttributes{}), 0);
  }
  for (const Peer& peer : peers)
    while (!peer.waits()) sys::call(SYS_sched_yield);
  // In one go of the only worker, so that it finds them all when it looks.
  unsigned long maker;
  auto make = [](void* argument) -> void* {
    auto* all = (Peer*)argument;
    for (int i : {0, 1, 3}) EXPECT_EQ(sys::write(all[i].ends[1], "x", 1), 1);
    EXPECT_EQ(shutdown(all[2].ends[1], SHUT_WR), 0);
    return nullptr;
  };
  ASSERT_EQ(spawn(&maker, make, peers, SpawnAttributes{}), 0);
  ASSERT_EQ(join(coroutine_of(maker), nullptr, kNever), 0);
  for (Peer& peer : peers) {
    ASSERT_EQ(join(coroutine_of(peer.thread), nullptr, kNever), 0);
    for (int end : peer.ends) {
      forget_descriptor(end);
      close(end);
    }
  }
  EXPECT_EQ(order, "cabd");
}

// Leaves its worker for a call, and is back while others are ready.
struct Returning {
  std::string order;
  std::atomic<bool> away{false}, may_return{false};
  unsigned long others[3];

  static void* calls(void* argument) {
    auto* self = (Returning*)argument;
    region_enter(RegionKind::lasting);
    self->away.store(true);
    while (!self->may_return.load()) sys::call(SYS_sched_yield);
    region_leave();
    enter(woven());
    leave(woven());
    self->order += 'r';
    return nullptr;
  }
  // Keeps the worker until the other wants it: inside the runtime the monitor does not take it.
  static void* stays(void* argument) {
    auto* self = (Returning*)argument;
    auto add = [](void* all) -> void* {
      auto& order = ((Returning*)all)->order;
      order += (char)('a' + order.size());
      return nullptr;
    };
    for (unsigned long& other : self->others) EXPECT_EQ(spawn(&other, add, argument, SpawnAttributes{}), 0);
    Coroutine* coroutine = woven();
    Worker* worker = enter(coroutine);
    self->may_return.store(true);
    while (!worker->returned.load() || !worker->preempt.load()) sys::call(SYS_sched_yield);
    leave(coroutine);
    return nullptr;
  }
};

TEST(Order, WhoIsBackFromACallGoesFirst) {
  auto nothing = [](void*) -> void* { return nullptr; };
  // Its share of the turns has to be there.
  for (int i = 0; i < 10; i++) {
    unsigned long thread;
    ASSERT_EQ(spawn(&thread, nothing, nullptr, SpawnAttributes{}), 0);
    ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  }
  Returning all;
  unsigned long caller, stayer;
  ASSERT_EQ(spawn(&caller, Returning::calls, &all, SpawnAttributes{}), 0);
  while (!all.away.load()) sys::call(SYS_sched_yield);
  ASSERT_EQ(spawn(&stayer, Returning::stays, &all, SpawnAttributes{}), 0);
  for (unsigned long thread : {stayer, caller}) ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  for (unsigned long thread : all.others) ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  EXPECT_EQ(all.order, "rbcd");
}

}  // namespace
}  // namespace weft
