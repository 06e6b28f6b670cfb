// SPDX-License-Identifier: Apache-2.0
// The parking lot: coroutines and guests waiting side by side, and every way a wait ends.
#include "sched/parking_lot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <list>
#include <thread>
#include <vector>

#include "sched/clock.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/worker.h"
#include "tests/sched/runtime_environment.h"

namespace weft {
namespace {

constexpr uint64_t kMillisecond = 1000000;

// What a thread of a test does: waits on the key, and says how that ended and in which order.
struct Wait {
  ParkRequest request{};
  std::atomic<bool> queued{false};
  std::atomic<bool> done{false};
  Parked how = Parked::invalid;
  unsigned turn = 0;
  std::atomic<unsigned>* turns = nullptr;
  bool (*inner_resume)() = nullptr;

  // before_sleep and validate are the test's own to know that the wait has begun.
  static void begun(void* wait) { ((Wait*)wait)->queued.store(true); }
  static bool resume_once(void* wait) { return ((Wait*)wait)->inner_resume(); }
  static void* run(void* argument) {
    auto* self = (Wait*)argument;
    self->how = park(self->request);
    if (self->turns) self->turn = self->turns->fetch_add(1);
    self->done.store(true);
    return nullptr;
  }
};

class ParkingLotTest : public testing::TestWithParam<bool> {
 protected:
  // True: the waiters are guests, that is threads of their own; false: coroutines.
  bool guests() const { return GetParam(); }

  void TearDown() override {
    for (unsigned long thread : coroutines_) EXPECT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
    for (std::thread& thread : threads_) thread.join();
    EXPECT_FALSE(has_waiters(key()));
    EXPECT_FALSE(has_waiters(other_key()));
    EXPECT_EQ(thread_state.lot_depth, 0u);
  }

  uint64_t key() const { return park_key(KeyKind::lock, &object_); }
  uint64_t other_key() const { return park_key(KeyKind::lock, &other_object_); }

  // Waits that live until their threads have ended.
  std::vector<Wait>& make(unsigned number) { return waits_.emplace_back(number); }

  void start(Wait* wait, bool as_guest) {
    wait->request.kind = WaitKind::lock;
    wait->request.object = &object_;
    if (!wait->request.key) wait->request.key = key();
    wait->request.before_sleep = Wait::begun;
    wait->request.argument = wait;
    wait->turns = &turns_;
    if (as_guest) {
      threads_.emplace_back(Wait::run, wait);
    } else {
      unsigned long thread = 0;
      ASSERT_EQ(spawn(&thread, Wait::run, wait, {}), 0);
      coroutines_.push_back(thread);
    }
    while (!wait->queued.load()) sys::call(SYS_sched_yield);
  }
  void start(Wait* wait) { start(wait, guests()); }
  static void await(Wait* wait) {
    while (!wait->done.load()) sys::call(SYS_sched_yield);
  }

  int object_ = 0, other_object_ = 0;
  std::atomic<unsigned> turns_{0};
  std::list<std::vector<Wait>> waits_;
  std::vector<unsigned long> coroutines_;
  std::vector<std::thread> threads_;
};

TEST_P(ParkingLotTest, WakesOneAtATimeInTheOrderOfArrival) {
  std::vector<Wait>& waits = make(3);
  for (Wait& wait : waits) start(&wait);
  EXPECT_TRUE(has_waiters(key()));
  for (unsigned i = 0; i < 3; i++) {
    EXPECT_EQ(unpark(key(), 1), 1u);
    await(&waits[i]);
    EXPECT_EQ(waits[i].how, Parked::unparked);
    EXPECT_EQ(waits[i].turn, i);
  }
  EXPECT_EQ(unpark(key(), 1), 0u);
}

TEST_P(ParkingLotTest, WakesAllHoweverMany) {
  constexpr unsigned kMany = 100;  // more than are picked under the lock at once
  std::vector<Wait>& waits = make(kMany);
  for (Wait& wait : waits) start(&wait);
  EXPECT_EQ(unpark(key(), ~0u), kMany);
  for (Wait& wait : waits) await(&wait);
}

TEST_P(ParkingLotTest, WakesAsManyAsAsked) {
  std::vector<Wait>& waits = make(5);
  for (Wait& wait : waits) start(&wait);
  EXPECT_EQ(unpark(key(), 3), 3u);
  EXPECT_EQ(unpark(key(), 3), 2u);
}

TEST_P(ParkingLotTest, KeysOfDifferentKindsAreDifferent) {
  Wait& wait = make(1)[0];
  start(&wait);
  EXPECT_EQ(unpark(park_key(KeyKind::condition, &object_), 1), 0u);
  EXPECT_EQ(unpark(other_key(), 1), 0u);
  EXPECT_EQ(unpark(key(), 1), 1u);
}

TEST_P(ParkingLotTest, ADeadlineEndsTheWait) {
  Wait& wait = make(1)[0];
  Wait& after = make(1)[0];
  wait.request.deadline = now_ns() + 5 * kMillisecond;
  start(&wait);
  await(&wait);
  EXPECT_EQ(wait.how, Parked::timed_out);
  EXPECT_GE(now_ns(), wait.request.deadline);
  EXPECT_FALSE(has_waiters(key()));
  start(&after);
  EXPECT_EQ(unpark(key(), 1), 1u);
}

TEST_P(ParkingLotTest, APastDeadlineEndsItAtOnce) {
  Wait& wait = make(1)[0];
  wait.request.deadline = 0;
  start(&wait);
  await(&wait);
  EXPECT_EQ(wait.how, Parked::timed_out);
}

TEST_P(ParkingLotTest, TagsChooseAmongWaiters) {
  Wait& reader = make(1)[0];
  Wait& writer = make(1)[0];
  reader.request.tag = 1;
  writer.request.tag = 2;
  start(&reader);
  start(&writer);
  EXPECT_EQ(unpark(key(), 1, 2), 1u);
  await(&writer);
  EXPECT_FALSE(reader.done.load());
  EXPECT_EQ(unpark(key(), ~0u, 2), 0u);
  EXPECT_EQ(unpark(key(), 1, 3), 1u);
}

TEST_P(ParkingLotTest, WaitersMoveToAnotherKeyAsleep) {
  std::vector<Wait>& waits = make(3);
  for (Wait& wait : waits) start(&wait);
  EXPECT_EQ(requeue(key(), other_key(), 2), 2u);
  EXPECT_EQ(unpark(key(), ~0u), 1u);
  await(&waits[2]);
  EXPECT_FALSE(waits[0].done.load());
  EXPECT_EQ(unpark(other_key(), ~0u), 2u);
}

// On a loaded machine the time may be over before the waiter is moved: then it gets more.
TEST_P(ParkingLotTest, AMovedWaiterStillTimesOut) {
  bool moved = false;
  for (uint64_t time = 20 * kMillisecond; !moved; time *= 4) {
    ASSERT_LT(time, 20'000 * kMillisecond);
    Wait& wait = make(1)[0];
    wait.request.deadline = now_ns() + time;
    start(&wait);
    moved = requeue(key(), other_key(), 1) == 1;
    await(&wait);
    EXPECT_EQ(wait.how, Parked::timed_out);
  }
}

// A waiter that was interrupted and may be still in the queue is no waiter: the wake goes to the next.
TEST_P(ParkingLotTest, AnEndedWaitTakesNoWake) {
  for (int round = 0; round < 200; round++) {
    Wait& first = make(1)[0];
    Wait& second = make(1)[0];
    first.request.interruptible = true;
    start(&first, false);
    start(&second);
    Coroutine* interrupted = coroutine_of(coroutines_.back());
    if (!guests()) interrupted = coroutine_of(coroutines_[coroutines_.size() - 2]);
    EXPECT_TRUE(interrupt(&interrupted->waiter));
    EXPECT_EQ(unpark(key(), 1), 1u);
    await(&first);
    await(&second);
    EXPECT_EQ(first.how, Parked::interrupted);
    EXPECT_EQ(second.how, Parked::unparked);
  }
}

TEST_P(ParkingLotTest, AWaitThatIsNotInterruptibleIsNotInterrupted) {
  Wait& wait = make(1)[0];
  start(&wait, false);
  EXPECT_FALSE(interrupt(&coroutine_of(coroutines_.back())->waiter));
  EXPECT_EQ(unpark(key(), 1), 1u);
}

TEST_P(ParkingLotTest, AnInterruptedWaitThatGoesOnKeepsItsPlace) {
  static std::atomic<int> resumed{0};
  resumed = 0;
  Wait& first = make(1)[0];
  Wait& second = make(1)[0];
  first.request.interruptible = true;
  first.request.resume = Wait::resume_once;
  first.inner_resume = [] {
    resumed++;
    return true;
  };
  start(&first, false);
  start(&second);
  Coroutine* interrupted = coroutine_of(coroutines_.front());
  for (int i = 1; i <= 3; i++) {
    while (!interrupt(&interrupted->waiter)) sys::call(SYS_sched_yield);
    while (resumed.load() < i) sys::call(SYS_sched_yield);
  }
  while (interrupted->state.load() != State::parked) sys::call(SYS_sched_yield);
  EXPECT_EQ(unpark(key(), 1), 1u);
  await(&first);
  EXPECT_EQ(first.how, Parked::unparked);
  EXPECT_FALSE(second.done.load());
  EXPECT_EQ(unpark(key(), 1), 1u);
}

TEST_P(ParkingLotTest, AnInterruptedWaitMayEnd) {
  Wait& wait = make(1)[0];
  wait.request.interruptible = true;
  wait.request.resume = Wait::resume_once;
  wait.inner_resume = [] { return false; };
  start(&wait, false);
  EXPECT_TRUE(interrupt(&coroutine_of(coroutines_.back())->waiter));
  await(&wait);
  EXPECT_EQ(wait.how, Parked::interrupted);
}

// What a waiter gives up before it sleeps may wake another waiter of the lot.
TEST_P(ParkingLotTest, AWaiterMayWakeAnotherBeforeItSleeps) {
  Wait& first = make(1)[0];
  start(&first);
  struct Second {
    uint64_t wakes;
    ParkRequest request;
    std::atomic<unsigned> woken{0};
  } second;
  second.wakes = key();
  second.request = {.key = other_key(),
                    .kind = WaitKind::condition,
                    .object = &other_object_,
                    .before_sleep = [](void* s) { ((Second*)s)->woken = unpark(((Second*)s)->wakes, 1); },
                    .argument = &second};
  auto body = [](void* s) -> void* {
    park(((Second*)s)->request);
    return nullptr;
  };
  unsigned long thread = 0;
  ASSERT_EQ(spawn(&thread, body, &second, {}), 0);
  await(&first);
  EXPECT_EQ(unpark(other_key(), 1), 1u);
  EXPECT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  EXPECT_EQ(second.woken.load(), 1u);
}

// A signal handler may interrupt whoever holds a bucket: its wakes come when the bucket is free.
TEST_P(ParkingLotTest, WakesFromInsideTheLotAreDeferred) {
  std::vector<Wait>& waits = make(3);
  for (Wait& wait : waits) start(&wait);
  struct Inside {
    uint64_t key;
    unsigned woken;
  } inside{key(), 9};
  with_bucket(
      other_key(), [](void* i) { ((Inside*)i)->woken = unpark(((Inside*)i)->key, 1); }, &inside);
  EXPECT_EQ(inside.woken, 0u);
  for (Wait& wait : waits) await(&wait);  // of a lock all are woken: they look for themselves
  EXPECT_EQ(thread_state.deferred_wakes, 0u);
}

TEST_P(ParkingLotTest, EachDeferredPostWakesOneWaiterOfASemaphore) {
  uint64_t semaphore = park_key(KeyKind::semaphore, &object_);
  std::vector<Wait>& waits = make(3);
  for (Wait& wait : waits) {
    wait.request.key = semaphore;
    start(&wait);
  }
  auto post_twice = [](void* k) {
    unpark(*(uint64_t*)k, 1);
    unpark(*(uint64_t*)k, 1);
  };
  with_bucket(other_key(), post_twice, &semaphore);
  await(&waits[0]);
  await(&waits[1]);
  EXPECT_FALSE(waits[2].done.load());
  EXPECT_EQ(unpark(semaphore, 1), 1u);
}

TEST_P(ParkingLotTest, MoreDeferredWakesThanThereIsRoomForLoseNone) {
  constexpr unsigned kMany = 10;
  std::vector<int> objects(kMany);
  std::vector<Wait>& waits = make(kMany);
  for (unsigned i = 0; i < kMany; i++) {
    waits[i].request.key = park_key(KeyKind::semaphore, &objects[i]);
    start(&waits[i]);
  }
  auto post_all = [](void* o) {
    for (int& object : *(std::vector<int>*)o) unpark(park_key(KeyKind::semaphore, &object), 1);
  };
  with_bucket(other_key(), post_all, &objects);
  for (Wait& wait : waits) await(&wait);
}

INSTANTIATE_TEST_SUITE_P(Waiters, ParkingLotTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "Guests" : "Coroutines"; });

TEST(ParkingLot, ValidationDecidesUnderTheLock) {
  int object = 0;
  bool asked = false;
  Parked how = park({.key = park_key(KeyKind::lock, &object),
                     .kind = WaitKind::lock,
                     .object = &object,
                     .validate =
                         [](void* a) {
                           *(bool*)a = true;
                           return false;
                         },
                     .argument = &asked});
  EXPECT_EQ(how, Parked::invalid);
  EXPECT_TRUE(asked);
  EXPECT_FALSE(has_waiters(park_key(KeyKind::lock, &object)));
}

// The protocol of every lock: waiters count themselves and look, wakers change and look. Nobody sleeps through a
// release.
TEST(ParkingLot, NoReleaseIsLost) {
  struct Lock {
    std::atomic<int> held{0};
    long entries = 0;
    uint64_t key() { return park_key(KeyKind::lock, this); }
    void lock() {
      while (held.exchange(1))
        park({.key = key(),
              .kind = WaitKind::lock,
              .object = this,
              .validate = [](void* l) { return ((Lock*)l)->held.load() != 0; },
              .argument = this});
    }
    void unlock() {
      held.exchange(0);
      if (has_waiters(key())) unpark(key(), 1);
    }
  } lock;
  constexpr long kEach = 20000;
  auto body = [](void* l) -> void* {
    for (long i = 0; i < kEach; i++) {
      ((Lock*)l)->lock();
      ((Lock*)l)->entries++;
      if (i % 50 == 0) {  // so that others find it held
        if (Coroutine* self = woven())
          yield(self);
        else
          sys::call(SYS_sched_yield);
      }
      ((Lock*)l)->unlock();
    }
    return nullptr;
  };
  unsigned long coroutines[6];
  for (unsigned long& thread : coroutines) ASSERT_EQ(spawn(&thread, body, &lock, {}), 0);
  std::thread guests[2] = {std::thread(body, &lock), std::thread(body, &lock)};
  for (unsigned long thread : coroutines) EXPECT_EQ(join(coroutine_of(thread), nullptr, kNever), 0);
  for (std::thread& thread : guests) thread.join();
  EXPECT_EQ(lock.entries, 8 * kEach);
  EXPECT_FALSE(has_waiters(lock.key()));
}

}  // namespace
}  // namespace weft
