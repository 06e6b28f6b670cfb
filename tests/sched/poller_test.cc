// SPDX-License-Identifier: Apache-2.0
// The poller: waits on descriptors from coroutines, with the runtime alone and no hooks.
#include "sched/poller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"
#include "tests/sched/runtime_environment.h"

namespace weft {
namespace {

constexpr uint64_t kMillisecond = 1000000;

bool queued(int fd, Direction direction, unsigned wanted) {
  Descriptor* d = descriptor(fd);
  Locked locked(d->lock);
  unsigned found = 0;
  for (WaitNode* node = d->ready[(int)direction].waiters.head; node; node = node->next) found++;
  return found == wanted;
}

// A reader of a pipe as the hooks have it: try, then wait, from the counter taken before the try.
struct Reader {
  int fd = -1;
  uint64_t deadline = kNever;
  unsigned bytes = 1;  // to read before it ends, one at a time
  FdWake how = FdWake::ready;
  int fd_afterwards = -1;
  unsigned empty_tries = 0;
  unsigned waits = 0;
  unsigned long thread = 0;

  static void* run(void* argument) {
    auto* self = (Reader*)argument;
    int fd = self->fd;
    for (unsigned got = 0; got < self->bytes;) {
      Descriptor* d = descriptor(fd);
      uint32_t seen = events_seen(d, Direction::read);
      char byte;
      if (worth_trying(d, Direction::read)) {
        if (sys::call(SYS_read, fd, sys::word(&byte), 1) == 1) {
          got++;
          pass_on(d, Direction::read);
          continue;
        }
        self->empty_tries++;
        mark_drained(d, Direction::read, seen);
      }
      self->waits++;
      self->how = wait_fd(&fd, Direction::read, seen, self->deadline);
      if (self->how != FdWake::ready) break;
    }
    self->fd_afterwards = fd;
    release_duplicate(fd, self->fd);
    return nullptr;
  }
  void start() { ASSERT_EQ(spawn(&thread, run, this, SpawnAttributes{}), 0); }
  void end() { ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0); }
};

class PollerTest : public testing::Test {
 protected:
  void SetUp() override { make_pipe(ends_); }
  void TearDown() override {
    for (int fd : ends_) {
      if (fd < 0) continue;
      EXPECT_TRUE(queued(fd, Direction::read, 0) && queued(fd, Direction::write, 0));
      forget(fd);
    }
    while (live_coroutines()) sys::call(SYS_sched_yield);
  }
  static void make_pipe(int ends[2]) {
    ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    renew_descriptor(ends[0]);
    renew_descriptor(ends[1]);
  }
  // As the hooks do it: what is known of the number goes first. The kind is theirs to set; an unknown one has nothing to forget.
  static void forget(int fd) {
    forget_descriptor(fd);
    close(fd);
  }
  static void wait_until_queued(int fd, unsigned wanted) {
    while (!queued(fd, Direction::read, wanted)) sys::call(SYS_sched_yield);
  }
  void put(unsigned bytes) { ASSERT_EQ(write(ends_[1], "0123456789abcdef", bytes), (ssize_t)bytes); }

  int ends_[2];
};

TEST_F(PollerTest, WakesAReaderAndRegistersOnce) {
  uint64_t adds = total(Metric::epoll_adds), mods = total(Metric::epoll_mods);
  Reader reader{.fd = ends_[0], .bytes = 20};
  reader.start();
  for (int i = 0; i < 20; i++) {
    wait_until_queued(ends_[0], 1);
    put(1);
  }
  reader.end();
  EXPECT_EQ(total(Metric::epoll_adds), adds + 1);
  EXPECT_EQ(total(Metric::epoll_mods), mods);
}

TEST_F(PollerTest, AnEdgeBetweenTryAndWaitIsNotLost) {
  struct Late {
    int* ends;
    FdWake how = FdWake::timed_out;
  } late{ends_};
  unsigned long thread;
  auto body = [](void* argument) -> void* {
    auto* self = (Late*)argument;
    int fd = self->ends[0];
    Descriptor* d = descriptor(fd);
    // Registers it; then the counter is taken, data comes, and its event is handled before the wait.
    uint32_t seen = events_seen(d, Direction::read);
    wait_fd(&fd, Direction::read, seen, 1);
    seen = events_seen(d, Direction::read);
    EXPECT_EQ(write(self->ends[1], "x", 1), 1);
    while (events_seen(d, Direction::read) == seen) yield(woven());
    self->how = wait_fd(&fd, Direction::read, seen, kNever);
    return nullptr;
  };
  uint64_t rescues = total(Metric::fd_rescues);
  ASSERT_EQ(spawn(&thread, body, &late, SpawnAttributes{}), 0);
  ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  EXPECT_EQ(late.how, FdWake::ready);
  EXPECT_EQ(total(Metric::fd_rescues), rescues);  // the monitor would have found it, later
}

TEST_F(PollerTest, ADeadlineEndsTheWait) {
  uint64_t start = now_ns();
  Reader reader{.fd = ends_[0], .deadline = deadline_in(5 * kMillisecond)};
  reader.start();
  reader.end();
  EXPECT_EQ(reader.how, FdWake::timed_out);
  EXPECT_GE(now_ns() - start, 5 * kMillisecond);
}

TEST_F(PollerTest, OneEdgeOfManyBytesServesAllWhoWait) {
  std::vector<Reader> readers(5);
  for (Reader& reader : readers) {
    reader.fd = ends_[0];
    reader.start();
  }
  wait_until_queued(ends_[0], 5);
  put(5);
  for (Reader& reader : readers) reader.end();
}

TEST_F(PollerTest, OneByteWakesOneReader) {
  std::vector<Reader> readers(5);
  for (Reader& reader : readers) {
    reader.fd = ends_[0];
    reader.start();
  }
  wait_until_queued(ends_[0], 5);
  for (unsigned left = 5; left > 0; left--) {
    wait_until_queued(ends_[0], left);
    put(1);
  }
  unsigned tries = 0;
  for (Reader& reader : readers) {
    reader.end();
    tries += reader.empty_tries;
  }
  // Each tried once before it waited; a byte taken may make one more look in vain, where it was not known to be the last.
  EXPECT_LE(tries, 5u + 5u);
}

TEST_F(PollerTest, AHangUpWakesEveryone) {
  std::vector<Reader> readers(3);
  for (Reader& reader : readers) {
    reader.fd = ends_[0];
    reader.start();
  }
  wait_until_queued(ends_[0], 3);
  // At the end of file each try finds nothing: they wait again, behind the event.
  uint32_t seen = events_seen(descriptor(ends_[0]), Direction::read);
  forget(ends_[1]);
  ends_[1] = -1;
  while (events_seen(descriptor(ends_[0]), Direction::read) == seen) sys::call(SYS_sched_yield);
  wait_until_queued(ends_[0], 3);
  for (Reader& reader : readers) interrupt(&coroutine_of(reader.thread)->waiter);
  for (Reader& reader : readers) {
    reader.end();
    EXPECT_EQ(reader.how, FdWake::interrupted);
    EXPECT_EQ(reader.waits, 2u);
  }
}

TEST_F(PollerTest, AWriterIsWokenWhenThereIsRoom) {
  uint64_t mods = total(Metric::epoll_mods);
  Reader reader{.fd = ends_[1], .deadline = deadline_in(1)};  // registers the end of writing for reading first
  reader.start();
  reader.end();
  char block[4096] = {};
  while (write(ends_[1], block, sizeof block) > 0) {
  }
  unsigned long thread;
  auto body = [](void* argument) -> void* {
    int fd = *(int*)argument;
    uint32_t seen = events_seen(descriptor(fd), Direction::write);
    while (write(fd, "x", 1) != 1) {
      EXPECT_EQ(wait_fd(&fd, Direction::write, seen, kNever), FdWake::ready);
      seen = events_seen(descriptor(fd), Direction::write);
    }
    return nullptr;
  };
  ASSERT_EQ(spawn(&thread, body, &ends_[1], SpawnAttributes{}), 0);
  while (!queued(ends_[1], Direction::write, 1)) sys::call(SYS_sched_yield);
  EXPECT_EQ(total(Metric::epoll_mods), mods + 1);
  char drained[65536];
  EXPECT_GT(read(ends_[0], drained, sizeof drained), 0);
  ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
}

TEST_F(PollerTest, AWaiterStaysWithADescriptorThatIsClosed) {
  Reader reader{.fd = ends_[0]};
  reader.start();
  wait_until_queued(ends_[0], 1);
  forget(ends_[0]);
  // The number goes to another pipe at once; what comes there is not the waiter's.
  int other[2];
  make_pipe(other);
  ASSERT_EQ(other[0], ends_[0]);
  ASSERT_EQ(write(other[1], "other", 5), 5);
  put(1);
  reader.end();
  EXPECT_EQ(reader.how, FdWake::ready);
  EXPECT_NE(reader.fd_afterwards, ends_[0]);
  EXPECT_EQ(fcntl(reader.fd_afterwards, F_GETFD), -1);  // given back
  EXPECT_FALSE(is_internal_fd(reader.fd_afterwards));
  int left = 0;
  EXPECT_EQ(read(other[0], &left, 4), 4);
  forget(other[1]);
}

TEST_F(PollerTest, AnEventOfAnEarlierDescriptionWakesNobody) {
  Reader first{.fd = ends_[0], .deadline = deadline_in(1)};
  first.start();
  first.end();
  // The registration stays with the description, which a copy keeps alive under another number.
  int copy = dup(ends_[0]);
  forget(ends_[0]);
  int other[2];
  make_pipe(other);
  ASSERT_EQ(other[0], ends_[0]);
  Reader second{.fd = other[0]};
  second.start();
  wait_until_queued(other[0], 1);
  put(1);  // an event of the old registration
  Reader behind{.fd = copy};
  behind.start();
  behind.end();  // so that it has been handled
  EXPECT_TRUE(queued(other[0], Direction::read, 1));
  ASSERT_EQ(write(other[1], "x", 1), 1);
  second.end();
  EXPECT_LE(second.empty_tries, 1u);
  forget(other[1]);
  forget(copy);
}

TEST_F(PollerTest, ADescriptorReplacedPastTheHooksIsFound) {
  uint64_t rescues = total(Metric::fd_rescues);
  Reader reader{.fd = ends_[0]};
  reader.start();
  wait_until_queued(ends_[0], 1);
  int other[2];
  ASSERT_EQ(pipe2(other, O_NONBLOCK | O_CLOEXEC), 0);
  ASSERT_EQ(dup2(other[0], ends_[0]), ends_[0]);  // no hook here: the registration is gone, nobody knows
  ASSERT_EQ(write(other[1], "x", 1), 1);
  reader.end();
  EXPECT_EQ(reader.how, FdWake::ready);
  EXPECT_EQ(total(Metric::fd_rescues), rescues + 1);
  close(other[0]);
  close(other[1]);
}

// A number closed and made again past the hooks, while a duplicate keeps the description: epoll has the registration, the table has not.
TEST_F(PollerTest, ARegistrationThatTheTableHasForgottenIsTakenOver) {
  uint64_t adds = total(Metric::epoll_adds), mods = total(Metric::epoll_mods), rescues = total(Metric::fd_rescues);
  // One more than there are epolls, so that one of them has it already.
  for (unsigned round = 0; round <= worker_count(); round++) {
    Reader reader{.fd = ends_[0]};
    reader.start();
    wait_until_queued(ends_[0], 1);
    put(1);
    reader.end();
    EXPECT_EQ(reader.how, FdWake::ready);
    renew_descriptor(ends_[0]);
  }
  EXPECT_LE(total(Metric::epoll_adds), adds + worker_count());
  EXPECT_GE(total(Metric::epoll_mods), mods + 1);
  EXPECT_EQ(total(Metric::fd_rescues), rescues);
}

TEST_F(PollerTest, WhatEpollDoesNotTakeIsSaid) {
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  renew_descriptor(file);
  struct Result {
    int fd;
    FdWake how;
  } result{file, FdWake::ready};
  unsigned long thread;
  auto body = [](void* argument) -> void* {
    auto* self = (Result*)argument;
    int fd = self->fd;
    self->how = wait_fd(&fd, Direction::read, events_seen(descriptor(fd), Direction::read), kNever);
    return nullptr;
  };
  ASSERT_EQ(spawn(&thread, body, &result, SpawnAttributes{}), 0);
  ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  EXPECT_EQ(result.how, FdWake::unpollable);
  forget(file);
}

struct AnyWait {
  int fds[2];
  FdWake how = FdWake::timed_out;
  uint64_t woken_by[2] = {};
  static void* run(void* argument) {
    auto* self = (AnyWait*)argument;
    PollWait waits[2] = {};
    for (int i : {0, 1}) {
      waits[i].fd.store(self->fds[i]);
      waits[i].direction = Direction::read;
      waits[i].seen = events_seen(descriptor(self->fds[i]), Direction::read);
    }
    PollCall call{.looked_at = true};
    self->how = wait_any(waits, 2, kNever, &call);
    for (int i : {0, 1}) {
      EXPECT_FALSE(waits[i].node.linked);
      self->woken_by[i] = waits[i].node.key;
    }
    return nullptr;
  }
};

TEST_F(PollerTest, AWaitForSeveralTakesNothingFromTheOneBehind) {
  int other[2];
  make_pipe(other);
  AnyWait any{{ends_[0], other[0]}};
  unsigned long thread;
  ASSERT_EQ(spawn(&thread, AnyWait::run, &any, SpawnAttributes{}), 0);
  wait_until_queued(ends_[0], 1);
  wait_until_queued(other[0], 1);
  Reader behind{.fd = ends_[0]};
  behind.start();
  wait_until_queued(ends_[0], 2);
  put(1);
  behind.end();
  ASSERT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  EXPECT_EQ(any.how, FdWake::ready);
  EXPECT_NE(any.woken_by[0], 0u);
  EXPECT_EQ(any.woken_by[1], 0u);
  EXPECT_TRUE(queued(other[0], Direction::read, 0));
  forget(other[0]);
  forget(other[1]);
}

TEST_F(PollerTest, ItsOwnDescriptorsLieHighAndAreNotInherited) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  unsigned found = 0;
  for (int fd = next_internal_fd(0); fd >= 0; fd = next_internal_fd(fd + 1)) {
    found++;
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_TRUE((rlim_t)fd >= limit.rlim_cur || limit.rlim_cur == limit.rlim_max);
  }
  EXPECT_EQ(found, 2 * worker_count() + 1);  // the spare
  EXPECT_LT(ends_[1], 32);
}

TEST_F(PollerTest, ItGivesUpANumberThatTheProgramWants) {
  int wanted = worker_at(0)->epoll_fd;
  ASSERT_TRUE(is_internal_fd(wanted));
  ASSERT_TRUE(relocate_internal_fd(wanted));
  EXPECT_FALSE(is_internal_fd(wanted));
  EXPECT_NE(worker_at(0)->epoll_fd, wanted);
  close(wanted);
  std::vector<Reader> readers(8);  // on both workers
  for (Reader& reader : readers) {
    reader.fd = ends_[0];
    reader.start();
  }
  wait_until_queued(ends_[0], 8);
  put(8);
  for (Reader& reader : readers) reader.end();
}

}  // namespace
}  // namespace weft
