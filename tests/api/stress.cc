// SPDX-License-Identifier: Apache-2.0
// Many at once on all of it: no value is lost, doubled or out of its sender's order, nobody is left waiting, and no lock is held twice.
#include "weft/co.hpp"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using namespace std::chrono_literals;
using weft::result;

constexpr int kSenders = 6, kReceivers = 4, kChannels = 3, kEach = 400;

struct Value {
  int sender, number;
};

// Runs body(i) so many times at once: in coroutines, pinned ones and threads.
template <class Body>
void everywhere(int count, Body body) {
  std::vector<std::thread> threads;
  std::vector<weft::coroutine<>> coroutines;
  for (int i = 0; i < count; i++) {
    if (i % 4 == 3) {
      threads.emplace_back(body, i);
    } else {
      auto one = weft::spawn([body, i] {
        if (i % 4 == 2) pin_me();
        body(i);
      });
      MUST(one);
      coroutines.push_back(std::move(*one));
    }
  }
  for (auto& one : coroutines) EQUAL(one.join() ? 0 : 1, 0);
  for (auto& one : threads) one.join();
}

struct Received {
  std::mutex lock;
  // Of each sender and channel: which numbers came, to look at when all have come.
  std::vector<int> count = std::vector<int>(kSenders * kEach);

  // `last`: of this receiver, of each channel and sender. What one receives of a sender by one channel comes in order.
  void take(Value value, int channel, std::vector<int>& last) {
    int& before = last[static_cast<std::size_t>(channel * kSenders + value.sender)];
    CHECK(value.number > before);
    before = value.number;
    std::lock_guard locked(lock);
    count[static_cast<std::size_t>(value.sender * kEach + value.number)]++;
  }
  void check_all_once() const {
    int wrong = 0;
    for (int each : count) wrong += each != 1;
    EQUAL(wrong, 0);
  }
};

// Every sender and every receiver selects over all channels; receivers leave and come back by deadlines and cancels; then all are closed.
void selects_over_channels(std::size_t capacity) {
  std::vector<weft::channel<Value>> channel;
  for (int i = 0; i < kChannels; i++) channel.emplace_back(capacity);
  Received received;
  std::atomic<int> sending{kSenders};
  everywhere(kSenders + kReceivers, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index) + 1);
    std::vector<int> last(kChannels * kSenders, -1);
    if (index < kSenders) {
      for (int i = 0; i < kEach; i++) {
        Value value[3] = {{index, i}, {index, i}, {index, i}};
        auto sent = [](result<> done) { EQUAL(done ? 0 : done.error().value(), 0); };
        if (random() % 3 == 0) {
          EQUAL(channel[random() % kChannels].send(value[0]) ? 0 : 1, 0);
          continue;
        }
        auto chosen = weft::select(weft::on_send(channel[0], std::move(value[0]), sent),
                                   weft::on_send(channel[1], std::move(value[1]), sent),
                                   weft::on_send(channel[2], std::move(value[2]), sent));
        CHECK(chosen);
      }
      if (--sending == 0)
        for (auto& each : channel) CHECK(each.close());
      return;
    }
    int open = kChannels;
    bool closed[kChannels] = {};
    weft::channel<Value> none;
    auto receive = [&] {
      auto case_of = [&](int i) {
        return weft::on_recv(closed[i] ? none : channel[static_cast<std::size_t>(i)], [&, i](result<Value> value) {
          if (value) return received.take(*value, i, last);
          EQUAL(value.error().value(), EPIPE);
          closed[i] = true;
          open--;
        });
      };
      return weft::select(case_of(0), case_of(1), case_of(2));
    };
    while (open) {
      if (co_self() && random() % 4 == 0) {
        auto chosen = weft::with_deadline(std::chrono::microseconds(random() % 200), receive);
        CHECK(chosen || chosen.error().value() == ETIMEDOUT);
      } else {
        CHECK(receive());
      }
    }
  });
  received.check_all_once();
}

// One channel in both directions at once: each value that was sent has been received by another. All go on until the end, because who
// comes late needs others to meet.
void both_directions() {
  constexpr int kMoves = 2400, kMost = 10000;
  weft::channel<int> channel;
  std::atomic<long> sent{0}, received{0}, moves{0};
  everywhere(8, [&](int index) {
    bool closed = false;
    for (int i = 0; !closed; i++) {
      int out = index * kMost + i % kMost, own = out;
      auto chosen = weft::select(weft::on_send(channel, std::move(out),
                                               [&](result<> done) {
                                                 if (done)
                                                   sent += own;
                                                 else
                                                   closed = true;
                                               }),
                                 weft::on_recv(channel, [&](result<int> value) {
                                   if (!value) return (void)(closed = true);
                                   CHECK(*value / kMost != index);
                                   received += *value;
                                 }));
      CHECK(chosen);
      if (++moves == kMoves) CHECK(channel.close());
    }
  });
  CHECK(moves >= kMoves);
  EQUAL(sent.load(), received.load());
}

// Waits that are cancelled at the moment they are met: whoever says ECANCELED has neither sent nor received.
void canceled_as_they_meet() {
  for (int round = 0; round < 60; round++) {
    weft::channel<std::unique_ptr<int>> channel(static_cast<std::size_t>(round % 2));
    std::atomic<int> sent{0}, received{0};
    std::vector<weft::coroutine<>> all;
    for (int i = 0; i < 12; i++) {
      auto one = weft::spawn([&, i] {
        if (i % 2) {
          if (channel.send(std::make_unique<int>(1))) sent++;
        } else if (i % 3) {
          if (auto value = channel.recv()) received += **value;
        } else {
          (void)weft::select(weft::on_recv(channel, [&](result<std::unique_ptr<int>> value) {
            if (value) received += **value;
          }));
        }
      });
      all.push_back(std::move(*one));
    }
    for (auto& one : all) (void)one.cancel();
    if (round % 3 == 0) (void)channel.close();
    for (auto& one : all) CHECK(one.join());
    int left = 0;
    while (channel.try_recv()) left++;
    EQUAL(received + left, sent.load());
  }
}

void failing_scopes() {
  for (int round = 0; round < 60; round++) {
    std::atomic<int> running{0}, begun{0};
    weft::scope scope;
    weft::channel<int> channel;
    weft::mutex mutex;
    for (int i = 0; i < 20; i++) {
      auto spawned = scope.spawn([&, i]() -> result<> {
        struct Runs {
          std::atomic<int>& count;
          ~Runs() { count--; }
        } runs{running};
        running++;
        begun++;
        if (i == round % 20) {
          if (round % 2) throw std::runtime_error("child");
          return weft::error_of(EDOM);
        }
        switch (i % 5) {
          case 0:
            return weft::sleep_for(1h);
          case 1:
            return weft::suspend();
          case 2: {
            auto value = channel.recv();
            return value ? result<>() : value.error();
          }
          case 3: {
            weft::scope inner;
            (void)inner.spawn([] { return weft::sleep_for(1h); });
            return inner.wait();
          }
          default: {
            std::unique_lock lock(mutex);
            weft::condition nobody;
            return nobody.wait(lock);
          }
        }
      });
      if (!spawned) EQUAL(spawned.error().value(), ECANCELED);
    }
    int error = 0;
    try {
      auto waited = scope.wait();
      error = waited ? 0 : waited.error().value();
    } catch (const std::runtime_error&) {
      error = -1;
    }
    EQUAL(running.load(), 0);
    EQUAL(error, round % 2 ? -1 : EDOM);
  }
}

// Everybody resumes everybody. The last resume that was given finds its way, however it meets the suspend.
void resume_storm() {
  constexpr int kMany = 8, kTimes = 500;
  std::atomic<std::uint64_t> id[kMany] = {};
  std::atomic<int> got[kMany] = {}, given[kMany] = {};
  std::vector<weft::coroutine<>> all;
  for (int i = 0; i < kMany; i++) {
    auto one = weft::spawn([&, i] {
      if (i % 4 == 3) pin_me();
      id[i] = co_self();
      for (int n = 0; n < kTimes; n++) {
        // One that waits for all that were given waits for none of them twice.
        while (got[i].load() < n) {
          CHECK(weft::suspend());
          got[i] = given[i].load();
        }
        int next = (i + 1 + n % (kMany - 1)) % kMany;
        if (std::uint64_t to = id[next]) {
          given[next]++;
          CHECK(weft::resume(weft::coroutine_id(to)) || got[next] == kTimes);  // one that has ended is not there
        }
      }
      got[i] = kTimes;
    });
    all.push_back(std::move(*one));
  }
  // And a thread of its own that keeps them going to their end.
  std::thread pusher([&] {
    for (int i = 0; i < kMany; i++)
      while (got[i] < kTimes) {
        given[i]++;
        if (std::uint64_t to = id[i]) (void)weft::coroutine_id(to).resume();
        sched_yield();
      }
  });
  pusher.join();
  for (auto& one : all) CHECK(one.join());
}

void locks() {
  weft::mutex mutex;
  weft::rwlock rwlock;
  weft::semaphore semaphore(3);
  weft::condition condition;
  int inside = 0, tokens = 0;
  std::atomic<int> readers{0}, writers{0}, in_semaphore{0};
  constexpr int kCallers = 12, kRounds = 200;
  everywhere(kCallers, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index) + 77);
    for (int round = 0; round < kRounds; round++) {
      auto limited = [&](auto acquire) {
        if (!co_self() || random() % 3) return static_cast<bool>(acquire());
        return static_cast<bool>(weft::with_deadline(std::chrono::microseconds(random() % 300), acquire));
      };
      if (limited([&] { return mutex.acquire(); })) {
        EQUAL(inside++, 0);
        if (random() % 8 == 0) weft::yield();
        EQUAL(--inside, 0);
        mutex.unlock();
      }
      if (random() % 4) {
        if (limited([&] { return rwlock.acquire_shared(); })) {
          readers++;
          EQUAL(writers.load(), 0);
          if (random() % 8 == 0) weft::yield();
          readers--;
          rwlock.unlock_shared();
        }
      } else if (limited([&] { return rwlock.acquire(); })) {
        EQUAL(writers++, 0);
        EQUAL(readers.load(), 0);
        if (random() % 8 == 0) weft::yield();
        writers--;
        rwlock.unlock();
      }
      if (limited([&] { return semaphore.acquire(); })) {
        CHECK(++in_semaphore <= 3);
        if (random() % 8 == 0) weft::yield();
        in_semaphore--;
        CHECK(semaphore.release());
      }
      // Half give tokens, half take them.
      std::unique_lock lock(mutex);
      if (index % 2) {
        tokens++;
        condition.notify_one();
      } else {
        while (tokens == 0) {
          auto waited = co_self() && random() % 3 == 0 ? weft::with_deadline(std::chrono::microseconds(random() % 300),
                                                                             [&] { return condition.wait(lock); })
                                                       : condition.wait(lock);
          CHECK(lock.owns_lock());
          CHECK(waited || waited.error().value() == ETIMEDOUT);
        }
        tokens--;
      }
    }
  });
  EQUAL(tokens, 0);
  CHECK(mutex.try_lock());
  mutex.unlock();
  CHECK(rwlock.try_lock());
  rwlock.unlock();
  for (int i = 0; i < 3; i++) CHECK(semaphore.try_acquire());
  CHECK(!semaphore.try_acquire());
}

void mailboxes() {
  weft::mailbox<Value> mailbox(5);
  std::vector<int> next(kSenders);
  std::atomic<int> refused{0};
  std::thread receiver([&] {
    for (int i = 0; i < kSenders * kEach; i++) {
      auto value = mailbox.recv();
      CHECK(value);
      EQUAL(value->number, next[static_cast<std::size_t>(value->sender)]++);
    }
  });
  everywhere(kSenders, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index));
    for (int i = 0; i < kEach;) {
      Value value{index, i};
      result<> sent = random() % 3 == 0            ? mailbox.try_send(value)
                      : !co_self() || random() % 3 ? mailbox.send(value)
                                                   : weft::with_deadline(std::chrono::microseconds(random() % 100),
                                                                         [&] { return mailbox.send(value); });
      if (sent)
        i++;
      else
        refused++;
    }
  });
  receiver.join();
  CHECK(mailbox.close());
  CHECK(!mailbox.recv());
}

// Descriptors, channels and times in one select, of which any may come first.
void selects_over_all() {
  int ends_of_pipe[2];
  MUST(pipe(ends_of_pipe) == 0);
  weft::channel<int> channel(2);
  std::atomic<long> bytes{0}, values{0};
  std::atomic<bool> closed{false};
  constexpr int kBytes = 2000, kValues = 2000;
  auto writer = weft::spawn([&] {
    for (int i = 0; i < kBytes; i++) EQUAL(write(ends_of_pipe[1], "x", 1), 1);
    close(ends_of_pipe[1]);
  });
  auto sender = weft::spawn([&] {
    for (int i = 0; i < kValues; i++) CHECK(channel.send(1));
    CHECK(channel.close());
  });
  std::mutex reads;  // a byte that one has seen another may have read
  everywhere(5, [&](int) {
    weft::channel<int> none;
    bool ended = false, over = false;
    while (!ended || !over) {
      auto chosen = weft::select(weft::on_recv(over ? none : channel,
                                               [&](result<int> value) {
                                                 if (value)
                                                   values += *value;
                                                 else
                                                   over = true;
                                               }),
                                 weft::on_readable(ends_of_pipe[0],
                                                   [&](result<> ready) {
                                                     CHECK(ready);
                                                     std::lock_guard locked(reads);
                                                     pollfd look = {ends_of_pipe[0], POLLIN, 0};
                                                     char byte;
                                                     if (closed || poll(&look, 1, 0) != 1) return void(ended = closed);
                                                     if (read(ends_of_pipe[0], &byte, 1) == 1)
                                                       bytes++;
                                                     else
                                                       ended = closed = true;
                                                   }),
                                 weft::after(1ms, [] {}));
      CHECK(chosen);
    }
  });
  CHECK(writer->join());
  CHECK(sender->join());
  EQUAL(bytes.load(), kBytes);
  EQUAL(values.load(), kValues);
  close(ends_of_pipe[0]);
}

// Makers, cancellers, joiners and detachers of the same ones.
void lives() {
  std::atomic<int> ended{0}, made{0};
  everywhere(6, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index) + 5);
    for (int i = 0; i < 150; i++) {
      auto one = weft::spawn([&, how = random() % 4] {
        if (how == 0) (void)weft::sleep_for(1h);
        if (how == 1) (void)weft::suspend();
        if (how == 2) weft::yield();
        ended++;
      });
      MUST(one);
      made++;
      std::uint64_t number = one->id().number();
      (void)weft::coroutine_id(number).resume();
      (void)weft::coroutine_id(number).cancel();
      if (random() % 2) {
        CHECK(one->join());
        EQUAL(co_cancel(number), ESRCH);
        EQUAL(co_resume(number), ESRCH);
      } else {
        CHECK(one->detach());
      }
    }
  });
  while (ended < made) EQUAL(co_sleep(kMillisecond), 0);
}

}  // namespace

int main() {
  for (std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{7}, weft::unbounded})
    selects_over_channels(capacity);
  both_directions();
  canceled_as_they_meet();
  failing_scopes();
  resume_storm();
  locks();
  mailboxes();
  selects_over_all();
  lives();
  return finish();
}
