// SPDX-License-Identifier: Apache-2.0
// co.hpp: results, exceptions through join, scopes, offload and actors, values that can only be moved, and destructors.
#include "weft/co.hpp"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using namespace std::chrono_literals;
using weft::result;

constexpr auto kForEver = 1h;

int number_of(std::error_code error) { return error.value(); }
template <class T>
int error_of(const result<T>& returned) {
  return returned ? 0 : returned.error().value();
}

// Counts those that are alive; can only be moved.
struct Counted {
  static inline std::atomic<int> alive{0};
  int value = 0;
  bool owns = true;
  explicit Counted(int given = 0) : value(given) { alive++; }
  Counted(Counted&& other) noexcept : value(other.value), owns(std::exchange(other.owns, false)) {
    alive += owns;
    alive -= owns;
  }
  Counted& operator=(Counted&& other) noexcept {
    if (owns) alive--;
    value = other.value;
    owns = std::exchange(other.owns, false);
    return *this;
  }
  ~Counted() {
    if (owns) alive--;
  }
};

template <class Exception, class Call>
bool throws(Call call) {
  try {
    call();
  } catch (const Exception&) {
    return true;
  }
  return false;
}

void results() {
  result<int> good = 3, bad = weft::error_of(EPIPE);
  CHECK(good && good.has_value() && *good == 3 && good.value() == 3 && !good.error());
  CHECK(!bad && number_of(bad.error()) == EPIPE && bad.error() == std::errc::broken_pipe);
  EQUAL(std::move(bad).value_or(7), 7);
  result<> done, failed = weft::error_of(EPERM);
  CHECK(done && !failed && failed.error() == std::errc::operation_not_permitted);
  result<std::unique_ptr<int>> moved = std::make_unique<int>(5);
  std::unique_ptr<int> taken = std::move(moved).value();
  EQUAL(*taken, 5);
}

void coroutines() {
  auto sum = weft::spawn([](int a, std::unique_ptr<int> b) { return a + *b; }, 3, std::make_unique<int>(4));
  MUST(sum);
  CHECK(sum->joinable() && sum->id());
  EQUAL(*sum->join(), 7);
  CHECK(!sum->joinable());
  EQUAL(error_of(sum->join()), ESRCH);
  EQUAL(error_of(sum->cancel()), ESRCH);
  EQUAL(error_of(sum->detach()), ESRCH);
  EQUAL(error_of(weft::coroutine<>().join()), ESRCH);

  auto nothing = weft::spawn({.name = "named", .stack_size = 256 << 10, .priority = weft::priority::low}, [] {
    char name[16];
    EQUAL(co_get_name(weft::this_coroutine::id().number(), name, sizeof name), 0);
    CHECK(std::string(name) == "named");
    weft::yield();
  });
  MUST(nothing);
  EQUAL(error_of(nothing->join()), 0);
  auto broken = weft::spawn({.stack_size = std::size_t(1) << 60}, [] {});
  EQUAL(error_of(broken), EAGAIN);

  auto thrower = weft::spawn([]() -> int { throw std::runtime_error("from a coroutine"); });
  MUST(thrower);
  CHECK(throws<std::runtime_error>([&] { (void)thrower->join(); }));
  CHECK(!thrower->joinable());
  auto odd = weft::spawn([] { throw 5; });
  CHECK(throws<int>([&] { (void)odd->join(); }));
  auto left = weft::spawn([]() -> int { pthread_exit(nullptr); });
  EQUAL(error_of(left->join()), ECANCELED);

  // Moved, and assigned over one that runs.
  auto sleeper = [] { return error_of(weft::sleep_for(kForEver)); };
  weft::coroutine<int> one = std::move(*weft::spawn(sleeper)), other = std::move(one);
  CHECK(!one.joinable() && other.joinable());
  other = std::move(*weft::spawn(sleeper));
  EQUAL(error_of(other.cancel()), 0);
  EQUAL(*other.join(), ECANCELED);

  // Suspended and resumed by others.
  auto waits = weft::spawn([] { return error_of(weft::suspend()); });
  EQUAL(error_of(weft::resume(waits->id())), 0);
  EQUAL(*waits->join(), 0);
  EQUAL(error_of(weft::resume(waits->id())), ESRCH);
}

// The destructor cancels and waits, also where the caller is cancelled.
void destructors() {
  static std::atomic<bool> ended;
  auto body = [] {
    EQUAL(error_of(weft::sleep_for(kForEver)), ECANCELED);
    weft::shield([] { (void)weft::sleep_for(3ms); });
    ended = true;
  };
  ended = false;
  { auto one = weft::spawn(body); }
  CHECK(ended);
  ended = false;
  auto outer = weft::spawn([&] {
    auto inner = weft::spawn(body);
    CHECK(!weft::sleep_for(kForEver));
  });
  EQUAL(error_of(outer->cancel()), 0);
  EQUAL(error_of(outer->join()), 0);
  CHECK(ended);
  ended = false;
  if (co_self()) EQUAL(error_of(weft::with_deadline(1ms, [&] { auto inner = weft::spawn(body); })), 0);
  // What nobody joins is given back all the same.
  const int before = Counted::alive;
  {
    auto one = weft::spawn([](Counted kept) { return kept; }, Counted(1));
  }
  auto detached = weft::spawn([](Counted) {}, Counted(1));
  EQUAL(error_of(detached->detach()), 0);
  while (Counted::alive != before) weft::yield();
}

void deadlines() {
  if (!co_self()) {
    EQUAL(error_of(weft::with_deadline(1ms, [] { return 3; })), EPERM);
  } else {
    EQUAL(*weft::with_deadline(1h, [] { return 3; }), 3);
    EQUAL(error_of(weft::with_deadline(1ms, [] { return weft::sleep_for(kForEver); })), ETIMEDOUT);
    EQUAL(error_of(weft::with_deadline(-1s, [] { return weft::this_coroutine::canceled(); })), ETIMEDOUT);
    CHECK(throws<int>([] { (void)weft::with_deadline(0s, []() -> int { throw 3; }); }));
    EQUAL(error_of(weft::this_coroutine::canceled()), 0);
    EQUAL(error_of(weft::with_deadline(std::chrono::hours::max(), [] { return weft::sleep_for(1us); })), 0);
    EQUAL(
        error_of(weft::with_deadline(0ms,
                                     [] {
                                       EQUAL(weft::shield([] { return error_of(weft::sleep_for(1ms)); }), 0);
                                       CHECK(throws<std::string>([] { weft::shield([] { throw std::string("x"); }); }));
                                       return weft::sleep_for(1h);
                                     })),
        ETIMEDOUT);
    EQUAL(error_of(weft::sleep_for(1ms)), 0);
  }
  EQUAL(weft::shield([] { return 4; }), 4);
  CHECK(*weft::shield([] { return std::make_unique<int>(4); }) == 4);
  const auto before = weft::clock::now();
  EQUAL(error_of(weft::sleep_until(before + 2ms)), 0);
  CHECK(weft::clock::now() >= before + 2ms);
  EQUAL(error_of(weft::sleep_until(std::chrono::system_clock::now() + 1ms)), 0);
  EQUAL(error_of(weft::sleep_for(-1s)), 0);
  EQUAL(error_of(weft::sleep_for(0.0005s)), 0);
}

// Coroutines of a runtime of its own share with the others what those share among themselves, and make others where they are.
void runtimes() {
  unsigned first_cpu = 0;
  cpu_set_t cpus;
  MUST(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
  while (!CPU_ISSET(first_cpu, &cpus)) first_cpu++;
  static const result<co_runtime_t*> apart = weft::make_runtime({&first_cpu, 1});
  MUST(apart);
  EQUAL(error_of(weft::make_runtime({})), EINVAL);
  const unsigned none = 100000;
  EQUAL(error_of(weft::make_runtime({&none, 1})), EINVAL);
  weft::channel<int> values;
  auto there = [&] {
    auto also_there = weft::spawn([&] {
      for (int i = 0; i < 100; i++) EQUAL(error_of(values.send(i)), 0);
      return error_of(values.close());
    });
    return *also_there->join();
  };
  auto sender = weft::spawn({.runtime = *apart}, there);
  int next = 0;
  for (int value : values) EQUAL(value, next++);
  EQUAL(next, 100);
  EQUAL(*sender->join(), 0);
}

void scopes() {
  weft::scope scope;
  std::atomic<int> count{0};
  for (int i = 0; i < 10; i++)
    EQUAL(error_of(scope.spawn([&](std::unique_ptr<int> add) { count += *add; }, std::make_unique<int>(i))), 0);
  EQUAL(error_of(scope.wait()), 0);
  EQUAL(count.load(), 45);

  auto sleeper = [&] {
    auto slept = weft::sleep_for(kForEver);
    EQUAL(error_of(slept), ECANCELED);
    count++;
    return slept;
  };
  count = 0;
  for (int i = 0; i < 4; i++) EQUAL(error_of(scope.spawn(sleeper)), 0);
  EQUAL(error_of(scope.spawn([]() -> int { return EDOM; })), 0);
  EQUAL(error_of(scope.wait()), EDOM);
  EQUAL(count.load(), 4);
  for (int i = 0; i < 4; i++) EQUAL(error_of(scope.spawn({.name = "child"}, sleeper)), 0);
  EQUAL(error_of(scope.spawn([] { throw std::out_of_range("child"); })), 0);
  CHECK(throws<std::out_of_range>([&] { (void)scope.wait(); }));
  EQUAL(count.load(), 8);
  EQUAL(error_of(scope.spawn([]() -> result<std::string> { return weft::error_of(EILSEQ); })), 0);
  EQUAL(error_of(scope.wait()), EILSEQ);
  EQUAL(error_of(scope.spawn([]() -> std::error_code { return weft::error_of(ENOTTY); })), 0);
  EQUAL(error_of(scope.wait()), ENOTTY);
  EQUAL(error_of(scope.spawn([]() -> std::string { return "no error"; })), 0);
  EQUAL(error_of(scope.wait()), 0);
  scope.cancel();
  EQUAL(error_of(scope.spawn([] {})), ECANCELED);
  EQUAL(error_of(scope.wait()), 0);
  {
    weft::scope abandoned;
    count = 0;
    for (int i = 0; i < 4; i++) EQUAL(error_of(abandoned.spawn(sleeper)), 0);
  }
  EQUAL(count.load(), 4);
}

void locks() {
  weft::mutex mutex;
  weft::condition condition;
  weft::rwlock rwlock;
  weft::semaphore semaphore(1);
  weft::wait_group group;
  weft::once once;
  int turn = 0, shared = 0;
  std::atomic<int> calls{0};
  EQUAL(error_of(group.add(4)), 0);
  auto body = [&](int number) {
    for (int i = 0; i < 100; i++) {
      std::unique_lock lock(mutex);
      EQUAL(error_of(condition.wait(lock, [&] { return turn % 4 == number; })), 0);
      turn++;
      condition.notify_all();
      lock.unlock();
      {
        std::shared_lock reads(rwlock);
        CHECK(shared >= 0);
      }
      std::unique_lock writes(rwlock);
      shared++;
      writes.unlock();
      EQUAL(error_of(semaphore.acquire()), 0);
      EQUAL(error_of(semaphore.release()), 0);
      once.call([&] { calls++; });
    }
    EQUAL(error_of(group.done()), 0);
  };
  std::thread thread(body, 0), other(body, 1);
  auto one = weft::spawn(body, 2), two = weft::spawn(body, 3);
  EQUAL(error_of(group.wait()), 0);
  thread.join();
  other.join();
  EQUAL(error_of(one->join()), 0);
  EQUAL(error_of(two->join()), 0);
  EQUAL(turn, 400);
  EQUAL(shared, 400);
  EQUAL(calls.load(), 1);
  CHECK(semaphore.try_acquire() && !semaphore.try_acquire());
  CHECK(mutex.try_lock() && !mutex.try_lock());
  mutex.unlock();
  CHECK(rwlock.try_lock_shared() && rwlock.try_lock_shared() && !rwlock.try_lock());
  rwlock.unlock_shared();
  rwlock.unlock_shared();
  CHECK(rwlock.try_lock() && !rwlock.try_lock_shared());
  rwlock.unlock();
  EQUAL(error_of(group.done()), EINVAL);
  std::unique_lock<weft::mutex> unlocked(mutex, std::defer_lock);
  EQUAL(error_of(condition.wait(unlocked)), EPERM);

  weft::once thrown;
  CHECK(throws<int>([&] { thrown.call([] { throw 1; }); }));
  int ran = 0;
  thrown.call([&] { ran++; });
  thrown.call([&] { ran++; });
  EQUAL(ran, 1);

  // lock() holds it whatever comes, acquire() does not wait then.
  mutex.lock();
  rwlock.lock();
  auto canceled = weft::spawn([&] {
    EQUAL(error_of(weft::this_coroutine::id().cancel()), 0);
    EQUAL(error_of(mutex.acquire()), ECANCELED);
    EQUAL(error_of(rwlock.acquire()), ECANCELED);
    EQUAL(error_of(rwlock.acquire_shared()), ECANCELED);
    EQUAL(error_of(semaphore.acquire()), ECANCELED);
    std::unique_lock lock(mutex);
    EQUAL(error_of(condition.wait(lock)), ECANCELED);
    CHECK(lock.owns_lock() && !mutex.try_lock());
    EQUAL(error_of(condition.wait(lock, [] { return true; })), 0);
    EQUAL(error_of(condition.wait(lock, [] { return false; })), ECANCELED);
    std::shared_lock reads(rwlock);
  });
  settle();
  mutex.unlock();
  rwlock.unlock();
  EQUAL(error_of(canceled->join()), 0);
}

template <template <class> class Queue>
void queues(std::size_t capacity) {
  const int before = Counted::alive;
  {
    Queue<std::unique_ptr<int>> queue(capacity);
    MUST(queue);
    auto sender = weft::spawn([&] {
      for (int i = 0; i < 100; i++) EQUAL(error_of(queue.send(std::make_unique<int>(i))), 0);
      EQUAL(error_of(queue.close()), 0);
    });
    int next = 0;
    for (std::unique_ptr<int>& value : queue) EQUAL(*value, next++);
    EQUAL(next, 100);
    EQUAL(error_of(sender->join()), 0);
    // What is not sent is still there.
    auto kept = std::make_unique<int>(4);
    EQUAL(error_of(queue.send(std::move(kept))), EPIPE);
    CHECK(kept && *kept == 4);
    EQUAL(error_of(queue.recv()), EPIPE);
    EQUAL(error_of(queue.try_recv()), EPIPE);
  }
  {
    // What it still holds goes with it.
    Queue<Counted> queue(3);
    for (int i = 0; i < 3; i++) EQUAL(error_of(queue.try_send(Counted(i))), 0);
    Counted fourth(3);
    EQUAL(error_of(queue.try_send(std::move(fourth))), EAGAIN);
    CHECK(fourth.owns && fourth.value == 3);
    EQUAL(queue.recv()->value, 0);
    EQUAL(Counted::alive, before + 3);
    Queue<Counted> moved = std::move(queue);
    EQUAL(moved.try_recv()->value, 1);
    EQUAL(error_of(queue.recv()), EINVAL);
  }
  EQUAL(Counted::alive, before);
  Queue<std::string> words(2);
  const std::string word(100, 'w');
  EQUAL(error_of(words.send(word)), 0);
  EQUAL(error_of(words.try_send(word)), 0);
  CHECK(*words.recv() == word && *words.try_recv() == word);
  EQUAL(error_of(words.try_recv()), EAGAIN);
  auto waits = weft::spawn([&] { return error_of(words.recv()); });
  EQUAL(error_of(waits->cancel()), 0);
  EQUAL(*waits->join(), ECANCELED);
  Queue<char> bytes(2);
  EQUAL(error_of(bytes.send('x')), 0);
  EQUAL(*bytes.recv(), 'x');
}
void channels() {
  queues<weft::channel>(0);
  queues<weft::channel>(5);
  queues<weft::channel>(weft::unbounded);
}
void mailboxes() {
  queues<weft::mailbox>(5);
  weft::mailbox<int> box(2, "box");
  EQUAL(error_of(box.send(1)), 0);
  EQUAL(box.stats().length, 1u);
  EQUAL(error_of(weft::mailbox<int>(0).send(1)), EINVAL);
}

void selects() {
  weft::channel<std::unique_ptr<int>> first(1), second(0);
  int pipe_ends[2];
  MUST(pipe(pipe_ends) == 0);
  std::unique_ptr<int> got, out = std::make_unique<int>(8);
  std::string said;
  auto choose = [&](auto... more) {
    said.clear();
    return weft::select(weft::on_recv(first,
                                      [&](result<std::unique_ptr<int>> value) {
                                        said = value ? "received" : "closed";
                                        if (value) got = std::move(*value);
                                      }),
                        weft::on_send(second, std::move(out), [&](result<> sent) { said = sent ? "sent" : "closed"; }),
                        weft::on_readable(pipe_ends[0], [&](result<> ready) { said = ready ? "readable" : "bad"; }),
                        std::move(more)...);
  };
  EQUAL(error_of(weft::try_select(weft::on_recv(first, [](result<std::unique_ptr<int>>) {}))), EAGAIN);
  EQUAL(*choose(weft::after(1ms, [&] { said = "late"; })), 3u);
  CHECK(said == "late" && out && *out == 8);
  EQUAL(*choose(weft::at(weft::clock::now() - 1s, [&] { said = "past"; })), 3u);
  EQUAL(error_of(first.send(std::make_unique<int>(6))), 0);
  EQUAL(*choose(), 0u);
  CHECK(said == "received" && *got == 6 && out && *out == 8);
  MUST(write(pipe_ends[1], "x", 1) == 1);
  EQUAL(*choose(), 2u);
  CHECK(said == "readable" && out);
  char byte;
  MUST(read(pipe_ends[0], &byte, 1) == 1);
  auto receiver = weft::spawn([&] { return *std::move(*second.recv()); });
  EQUAL(*choose(), 1u);
  CHECK(said == "sent" && !out);
  EQUAL(*receiver->join(), 8);
  out = std::make_unique<int>(9);
  EQUAL(error_of(second.close()), 0);
  EQUAL(*choose(), 1u);
  CHECK(said == "closed" && out && *out == 9);
  EQUAL(*weft::select(weft::on_writable(pipe_ends[1], [&](result<> ready) { CHECK(ready); })), 0u);
  auto waits = weft::spawn([&] { return error_of(weft::select(weft::on_recv(first, [](auto) { CHECK(false); }))); });
  EQUAL(error_of(waits->cancel()), 0);
  EQUAL(*waits->join(), ECANCELED);
  EQUAL(error_of(first.close()), 0);
  EQUAL(*weft::select(weft::on_recv(first, [](result<std::unique_ptr<int>> end) { EQUAL(error_of(end), EPIPE); })), 0u);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

void actors() {
  std::atomic<int> sum{0};
  auto adder = weft::actor<std::unique_ptr<int>>::begin(
      [&](weft::mailbox<std::unique_ptr<int>>& mailbox) {
        for (auto& message : mailbox) sum += *message;
      },
      {.capacity = 4, .attributes = {.name = "adder"}});
  MUST(adder);
  for (int i = 0; i < 100; i++) EQUAL(error_of(adder->send(std::make_unique<int>(i))), 0);
  EQUAL(error_of(adder->close()), 0);
  EQUAL(error_of(adder->join()), 0);
  EQUAL(sum.load(), 4950);
  CHECK(adder->stats().received == 100 && adder->stats().capacity == 4);
  // Its destructor lets it finish.
  sum = 0;
  {
    auto other = weft::actor<int>::begin([&](weft::mailbox<int>& mailbox) {
      for (int message : mailbox) sum += message;
    });
    for (int i = 0; i < 50; i++) EQUAL(error_of(other->try_send(2)), 0);
  }
  EQUAL(sum.load(), 100);
  auto thrower = weft::actor<int>::begin([](weft::mailbox<int>& mailbox) { throw mailbox.recv().value(); });
  EQUAL(error_of(thrower->send(4)), 0);
  CHECK(throws<int>([&] { (void)thrower->join(); }));
  EQUAL(error_of(weft::actor<int>::begin([](weft::mailbox<int>&) {}, {.capacity = 0})), EINVAL);
}

void locals() {
  weft::coroutine_local<std::string> text;
  *text = "mine";
  weft::scope scope;
  for (int i = 0; i < 10; i++)
    EQUAL(error_of(scope.spawn([&, i] {
            CHECK(text->empty());
            *text = std::to_string(i) + std::string(100, 'x');
            weft::yield();
            CHECK(text->starts_with(std::to_string(i)));
          })),
          0);
  EQUAL(error_of(scope.wait()), 0);
  CHECK(*text == "mine");
}

void offloads() {
  EQUAL(*weft::offload([](int a, std::unique_ptr<int> b) { return a * *b; }, 6, std::make_unique<int>(7)), 42);
  EQUAL(error_of(weft::offload([] {})), 0);
  CHECK(throws<std::logic_error>([] { (void)weft::offload([]() -> int { throw std::logic_error("x"); }); }));
  EQUAL(error_of(weft::offload_limit(0)), EINVAL);
  // The coroutine is as it was.
  EQUAL(error_of(weft::sleep_for(1ms)), 0);
}

int connect_to(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  int client = socket(AF_INET, SOCK_STREAM, 0);
  MUST(getsockname(fd, (sockaddr*)&address, &size) == 0 && connect(client, (sockaddr*)&address, size) == 0);
  return client;
}
void servers() {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  MUST(bind(fd, (sockaddr*)&address, sizeof address) == 0 && listen(fd, 16) == 0);
  std::atomic<int> served{0};
  for (int kind = 0; kind < 2; kind++) {
    auto server = weft::spawn([&] {
      auto counts = [&](int connection) {
        MUST(write(connection, "c", 1) == 1);
        close(connection);
        served++;
      };
      auto plain = [](int connection) {
        MUST(write(connection, "p", 1) == 1);
        close(connection);
      };
      auto ended = kind ? weft::listen_and_serve(fd, counts) : weft::listen_and_serve(fd, std::move(plain));
      while (kind && served < 8) weft::shield([] { weft::yield(); });
      return error_of(ended);
    });
    for (int i = 0; i < 8; i++) {
      char byte = 0;
      int client = connect_to(fd);
      MUST(read(client, &byte, 1) == 1);
      EQUAL(byte, kind ? 'c' : 'p');
      close(client);
    }
    EQUAL(error_of(server->cancel()), 0);
    EQUAL(*server->join(), ECANCELED);
  }
  close(fd);
}

// The standard library's own, in a coroutine that is cancelled: its condition variable does not listen, neither spins nor keeps the mutex.
void standard_condition() {
  std::mutex mutex;
  std::condition_variable condition;
  bool happened = false;
  std::atomic<int> looks{0};
  auto waits = weft::spawn([&] {
    std::unique_lock lock(mutex);
    condition.wait(lock, [&] {
      looks++;
      return happened;
    });
    lock.unlock();
    return error_of(weft::sleep_for(kForEver));
  });
  EQUAL(error_of(waits->cancel()), 0);
  settle();
  {
    std::lock_guard lock(mutex);
    happened = true;
  }
  condition.notify_one();
  EQUAL(*waits->join(), ECANCELED);
  CHECK(looks <= 4);
  // Its own time counts.
  auto limited = weft::spawn([&] {
    std::unique_lock lock(mutex);
    (void)weft::this_coroutine::id().cancel();
    looks = 0;
    return condition.wait_for(lock, 10ms, [&] {
      looks++;
      return false;
    });
  });
  EQUAL(*limited->join(), false);
  CHECK(looks <= 4);
}

}  // namespace

int main() {
  results();
  for (void (*test)() : {coroutines, destructors, deadlines, runtimes, scopes, locks, channels, mailboxes, selects,
                         actors, locals, offloads, servers, standard_condition})
    anywhere(test);
  return finish();
}
