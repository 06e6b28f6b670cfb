// SPDX-License-Identifier: Apache-2.0
// The API with the runtime alone. What is handed over or guarded by it is plain memory here: ThreadSanitizer says where one who has taken it does
// not see all that was done before.
#include "weft/co.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

#include "sched/coroutine.h"
#include "sched/metrics.h"
#include "sched/sys.h"
#include "tests/sched/runtime_environment.h"

namespace weft {
namespace {

constexpr int kCallers = 6, kRounds = 150;

class ApiTest : public testing::Test {
 protected:
  void TearDown() override {
    while (live_coroutines() || total(Metric::coroutines_created) != total(Metric::coroutines_finished))
      sys::call(SYS_sched_yield);
    EXPECT_EQ(total(Metric::parks), total(Metric::wakes));
  }

  using Body = std::function<void(int)>;
  struct Call {
    const Body* body;
    int number;
  };
  // Runs the body in coroutines and threads at once.
  static void everywhere(int count, const Body& body) {
    std::vector<Call> calls;
    std::vector<co_t> coroutines;
    std::vector<std::thread> threads;
    for (int i = 0; i < count; i++) calls.push_back({&body, i});
    for (Call& call : calls) {
      if (call.number % 3 == 2) {
        threads.emplace_back([&call] { (*call.body)(call.number); });
        continue;
      }
      co_t made = 0;
      auto run = [](void* given) -> void* {
        EXPECT_NE(co_self(), 0u);
        (*((Call*)given)->body)(((Call*)given)->number);
        return nullptr;
      };
      ASSERT_EQ(co_spawn(&made, run, &call, nullptr), 0);
      coroutines.push_back(made);
    }
    for (co_t each : coroutines) EXPECT_EQ(co_join(each, nullptr), 0);
    for (std::thread& each : threads) each.join();
  }
};

TEST_F(ApiTest, LocksGuard) {
  co_mutex_t mutex = CO_MUTEX_INIT;
  co_rwlock_t rwlock = CO_RWLOCK_INIT;
  co_sem_t one = CO_SEM_INIT(1);
  co_cond_t cond = CO_COND_INIT;
  int by_mutex = 0, by_rwlock = 0, by_semaphore = 0, turn = 0;
  everywhere(kCallers, [&](int number) {
    for (int i = 0; i < kRounds; i++) {
      EXPECT_EQ(co_mutex_lock(&mutex), 0);
      by_mutex++;
      if (i % 8 == 0) co_yield_now();
      EXPECT_EQ(co_mutex_unlock(&mutex), 0);
      if (i % 3) {
        EXPECT_EQ(co_rwlock_rdlock(&rwlock), 0);
        EXPECT_GE(by_rwlock, 0);
      } else {
        EXPECT_EQ(co_rwlock_wrlock(&rwlock), 0);
        by_rwlock++;
      }
      EXPECT_EQ(co_rwlock_unlock(&rwlock), 0);
      EXPECT_EQ(co_sem_wait(&one), 0);
      by_semaphore++;
      EXPECT_EQ(co_sem_post(&one), 0);
    }
    EXPECT_EQ(co_mutex_lock(&mutex), 0);
    while (turn != number) EXPECT_EQ(co_cond_wait(&cond, &mutex), 0);
    turn++;
    EXPECT_EQ(co_cond_broadcast(&cond), 0);
    EXPECT_EQ(co_mutex_unlock(&mutex), 0);
  });
  EXPECT_EQ(by_mutex, kCallers * kRounds);
  EXPECT_EQ(by_rwlock, kCallers * kRounds / 3);
  EXPECT_EQ(by_semaphore, kCallers * kRounds);
}

TEST_F(ApiTest, OnceAndWaitGroupPublish) {
  static int made;
  static std::atomic<int> calls{0};
  static co_once_t once = CO_ONCE_INIT;
  co_wait_group_t group = CO_WAIT_GROUP_INIT;
  std::array<int, kCallers> parts = {};
  EXPECT_EQ(co_wait_group_add(&group, kCallers - 1), 0);
  everywhere(kCallers, [&](int number) {
    EXPECT_EQ(co_once(&once,
                      [] {
                        made = 7;
                        calls++;
                      }),
              0);
    EXPECT_EQ(made, 7);
    if (number == 0) {
      EXPECT_EQ(co_wait_group_wait(&group), 0);
      for (int i = 1; i < kCallers; i++) EXPECT_EQ(parts[(size_t)i], i);
    } else {
      parts[(size_t)number] = number;
      EXPECT_EQ(co_wait_group_done(&group), 0);
    }
  });
  EXPECT_EQ(calls.load(), 1);
}

// What is pointed to is handed over with the pointer.
TEST_F(ApiTest, ChannelsHandOver) {
  for (size_t capacity : {(size_t)0, (size_t)3, (size_t)CO_UNBOUNDED}) {
    co_chan_t *chan, *other;
    ASSERT_EQ(co_chan_create(&chan, sizeof(int*), capacity), 0);
    ASSERT_EQ(co_chan_create(&other, sizeof(int*), capacity), 0);
    std::atomic<int> sum{0}, senders{kCallers / 2};
    everywhere(kCallers, [&](int number) {
      if (number % 2) {
        for (int i = 1; i <= kRounds; i++) {
          int* value = new int(i);
          size_t chosen;
          co_select_case_t cases[2] = {};
          cases[0] = {CO_SELECT_SEND, 0, chan, &value, 0, 0};
          cases[1] = {CO_SELECT_SEND, 0, other, &value, 0, 0};
          EXPECT_EQ(i % 3 ? co_select(cases, 2, &chosen) : co_chan_send(chan, &value), 0);
        }
        if (--senders == 0) {
          EXPECT_EQ(co_chan_close(chan), 0);
          EXPECT_EQ(co_chan_close(other), 0);
        }
        return;
      }
      int* value = nullptr;
      size_t chosen = 0;
      co_select_case_t cases[2] = {};
      cases[0] = {CO_SELECT_RECV, 0, chan, &value, 0, 0};
      cases[1] = {CO_SELECT_RECV, 0, other, &value, 0, 0};
      for (int open = 2; open;) {
        EXPECT_EQ(co_select(cases, 2, &chosen), 0);
        if (cases[chosen].error) {
          cases[chosen].chan = nullptr;
          open--;
          continue;
        }
        sum += *value;
        delete value;
      }
    });
    EXPECT_EQ(sum.load(), kCallers / 2 * kRounds * (kRounds + 1) / 2);
    co_chan_destroy(chan);
    co_chan_destroy(other);
  }
}

TEST_F(ApiTest, MailboxesHandOver) {
  co_mailbox_t* mailbox;
  ASSERT_EQ(co_mailbox_create(&mailbox, sizeof(int*), 4, "test"), 0);
  everywhere(kCallers, [&](int number) {
    if (number) {
      for (int i = 1; i <= kRounds; i++) {
        int* message = new int(number);
        EXPECT_EQ(co_mailbox_send(mailbox, &message), 0);
      }
      return;
    }
    int sum = 0;
    for (int i = 0; i < (kCallers - 1) * kRounds; i++) {
      int* message = nullptr;
      EXPECT_EQ(co_mailbox_recv(mailbox, &message), 0);
      sum += *message;
      delete message;
    }
    EXPECT_EQ(sum, kRounds * kCallers * (kCallers - 1) / 2);
  });
  co_mailbox_destroy(mailbox);
}

TEST_F(ApiTest, ResumeJoinAndScopePublish) {
  struct Shared {
    int before_resume = 0, result = 0;
  } shared;
  co_t made = 0;
  auto waits = [](void* given) -> void* {
    EXPECT_EQ(co_suspend(), 0);
    EXPECT_EQ(((Shared*)given)->before_resume, 1);
    ((Shared*)given)->result = 2;
    return given;
  };
  for (int i = 0; i < kRounds; i++) {
    shared = {};
    ASSERT_EQ(co_spawn(&made, waits, &shared, nullptr), 0);
    shared.before_resume = 1;
    EXPECT_EQ(co_resume(made), 0);
    void* result = nullptr;
    EXPECT_EQ(co_join(made, &result), 0);
    EXPECT_EQ(((Shared*)result)->result, 2);

    co_scope_t scope;
    std::array<int, 4> parts = {};
    EXPECT_EQ(co_scope_init(&scope), 0);
    for (int& part : parts)
      EXPECT_EQ(co_scope_spawn(
                    &scope,
                    [](void* mine) {
                      *(int*)mine = 5;
                      return 0;
                    },
                    &part, nullptr),
                0);
    EXPECT_EQ(co_scope_wait(&scope), 0);
    for (int part : parts) EXPECT_EQ(part, 5);
  }
}

TEST_F(ApiTest, CanceledWaitsEnd) {
  for (int i = 0; i < kRounds; i++) {
    co_chan_t* chan;
    ASSERT_EQ(co_chan_create(&chan, sizeof(int), 0), 0);
    std::array<co_t, 3> made = {};
    auto run = [](void* given) -> void* {
      int value;
      int error = co_chan_recv((co_chan_t*)given, &value);
      if (!error) error = co_sleep(1ull << 40);
      EXPECT_EQ(error, ECANCELED);
      return nullptr;
    };
    for (co_t& each : made) ASSERT_EQ(co_spawn(&each, run, chan, nullptr), 0);
    int value = 1;
    if (i % 2) co_chan_trysend(chan, &value);
    for (co_t each : made) EXPECT_EQ(co_cancel(each), 0);
    for (co_t each : made) EXPECT_EQ(co_join(each, nullptr), 0);
    co_chan_destroy(chan);
  }
}

}  // namespace
}  // namespace weft
