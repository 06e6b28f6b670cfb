// SPDX-License-Identifier: Apache-2.0
// What C++20 waits with: call_once, latch, barrier, semaphores, atomic wait, jthread, shared and timed mutexes, guards.
#include "check.h"

#include <atomic>
#include <barrier>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

template <typename Body>
void in_threads(int count, Body body) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; i++) threads.emplace_back(body, i);
}

int guarded_runs;
int guarded() {
  static int value = [] {
    guarded_runs++;
    std::this_thread::sleep_for(5ms);
    return 77;
  }();
  return value;
}

void once_and_guards() {
  std::once_flag flag, failing;
  int runs = 0, attempts = 0;
  std::atomic<int> caught{0};
  in_threads(20, [&](int) {
    std::call_once(flag, [&] {
      std::this_thread::sleep_for(5ms);
      runs++;
    });
    CHECK(runs == 1);
    CHECK(guarded() == 77);
    try {
      std::call_once(failing, [&] {
        if (++attempts < 3) throw std::runtime_error("again");
      });
    } catch (const std::runtime_error&) {
      caught++;
    }
  });
  say("call_once %d, guard %d, failing attempts %d caught %d", runs, guarded_runs, attempts, caught.load());
}

void latches_and_barriers() {
  std::latch ready(10), go(1);
  std::atomic<int> passed{0};
  int phases = 0;
  std::barrier phase(10, [&]() noexcept { phases++; });
  std::vector<std::jthread> threads;
  for (int i = 0; i < 10; i++) {
    threads.emplace_back([&] {
      ready.count_down();
      go.wait();
      for (int k = 0; k < 20; k++) phase.arrive_and_wait();
      passed++;
    });
  }
  ready.wait();
  CHECK(passed == 0);
  go.count_down();
  threads.clear();
  say("latch passed %d, phases %d", passed.load(), phases);
}

void atomics() {
  std::atomic<int> turn{0};
  in_threads(2, [&](int side) {
    for (int i = 0; i < 300; i++) {
      int now;
      while ((now = turn.load()) % 2 != side) turn.wait(now);
      turn++;
      turn.notify_all();
    }
  });
  std::atomic_flag flag;
  std::jthread waiter([&] { flag.wait(false); });
  settle();
  flag.test_and_set();
  flag.notify_one();
  waiter.join();
  std::atomic<long> wide{0};
  std::jthread wide_waiter([&] { wide.wait(0); });
  settle();
  wide = 1;
  wide.notify_one();
  wide_waiter.join();
  say("atomic turns %d", turn.load());
}

void semaphores() {
  std::counting_semaphore<8> places(3);
  std::binary_semaphore ping(0), pong(0);
  std::atomic<int> inside{0}, most{0};
  in_threads(12, [&](int) {
    for (int i = 0; i < 10; i++) {
      places.acquire();
      int now = ++inside;
      if (now > 3) most = now;
      std::this_thread::yield();
      inside--;
      places.release();
    }
  });
  std::jthread player([&] {
    for (int i = 0; i < 100; i++) {
      ping.acquire();
      pong.release();
    }
  });
  for (int i = 0; i < 100; i++) {
    ping.release();
    pong.acquire();
  }
  say("semaphores: too many inside %d, try for a time %d", most.load(), ping.try_acquire_for(20ms));
}

void stop_tokens() {
  std::mutex mutex;
  std::condition_variable_any condition;
  bool interrupted = false;
  std::jthread thread([&](std::stop_token token) {
    std::unique_lock lock(mutex);
    interrupted = !condition.wait(lock, token, [] { return false; });
  });
  settle();
  thread.request_stop();
  thread.join();
  say("stop token: interrupted %d", interrupted);
}

void mutexes() {
  std::shared_timed_mutex shared;
  std::timed_mutex timed;
  std::recursive_timed_mutex recursive;
  shared.lock();
  timed.lock();
  recursive.lock();
  in_threads(1, [&](int) {
    say("shared %d, timed %d, recursive %d", shared.try_lock_shared_for(10ms), timed.try_lock_for(10ms),
        recursive.try_lock_until(std::chrono::steady_clock::now() + 10ms));
  });
  say("recursive, owner %d", recursive.try_lock());
  recursive.unlock();
  recursive.unlock();
  timed.unlock();
  shared.unlock();
  long value = 0, sum = 0;
  std::mutex sum_mutex;
  in_threads(10, [&](int number) {
    for (int i = 0; i < 100; i++) {
      if (number % 2 == 0) {
        std::scoped_lock lock(shared, sum_mutex);
        value++;
        sum++;
      } else {
        std::shared_lock lock(shared);
        CHECK(value >= 0);
      }
    }
  });
  say("value %ld, sum %ld", value, sum);
}

void conditions() {
  std::mutex mutex;
  std::condition_variable condition;
  std::vector<int> queue;
  long sum = 0;
  std::jthread consumer([&] {
    for (int taken = 0; taken < 500; taken++) {
      std::unique_lock lock(mutex);
      condition.wait(lock, [&] { return !queue.empty(); });
      sum += queue.back();
      queue.pop_back();
    }
  });
  in_threads(5, [&](int number) {
    for (int i = 0; i < 100; i++) {
      std::scoped_lock lock(mutex);
      queue.push_back(number);
      condition.notify_one();
    }
  });
  consumer.join();
  std::unique_lock lock(mutex);
  say("condition sum %ld, wait_for %d, wait_until %d", sum, condition.wait_for(lock, 15ms, [] { return false; }),
      condition.wait_until(lock, std::chrono::system_clock::now() + 15ms, [] { return false; }));
  // The waiters are told at the thread's very end.
  bool ended = false;
  std::thread([&] {
    std::unique_lock own(mutex, std::defer_lock);
    own.lock();
    ended = true;
    std::notify_all_at_thread_exit(condition, std::move(own));
  }).detach();
  condition.wait(lock, [&] { return ended; });
  say("told at thread exit");
}

void all() {
  once_and_guards();
  latches_and_barriers();
  atomics();
  semaphores();
  stop_tokens();
  mutexes();
  conditions();
}

}  // namespace

int main() {
  all();
  std::jthread(all).join();
  return finish();
}
