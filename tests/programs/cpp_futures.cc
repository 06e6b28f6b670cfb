// SPDX-License-Identifier: Apache-2.0
// Futures: async, deferred, promises, packaged tasks, shared futures, time-outs, a tree of tasks.
#include "check.h"

#include <future>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

long tree(int depth) {
  if (depth == 0) return 1;
  auto left = std::async(std::launch::async, tree, depth - 1);
  long right = tree(depth - 1);
  return left.get() + right;
}

const char* name(std::future_status status) {
  return status == std::future_status::ready ? "ready" : status == std::future_status::timeout ? "timeout" : "deferred";
}

void all() {
  say("tree %ld", tree(7));
  std::vector<std::future<int>> squares;
  for (int i = 0; i < 50; i++) squares.push_back(std::async(std::launch::async, [i] { return i * i; }));
  say("squares %d",
      std::accumulate(squares.begin(), squares.end(), 0, [](int sum, auto& future) { return sum + future.get(); }));

  auto deferred = std::async(std::launch::deferred, [] { return std::this_thread::get_id(); });
  say("deferred: %s", name(deferred.wait_for(0s)));
  say("in this thread %d", deferred.get() == std::this_thread::get_id());

  std::promise<int> promise;
  auto future = promise.get_future();
  say("unfulfilled: %s", name(future.wait_for(10ms)));
  std::thread([&] { promise.set_value_at_thread_exit(5); }).detach();
  say("fulfilled: %d", future.get());

  std::packaged_task<int(int)> task([](int value) { return value + 1; });
  auto result = task.get_future();
  std::thread runner(std::move(task), 41);
  say("packaged: %d", result.get());
  runner.join();

  std::promise<void> start;
  std::shared_future<void> started = start.get_future().share();
  std::vector<std::future<int>> runners;
  for (int i = 0; i < 20; i++)
    runners.push_back(std::async(std::launch::async, [started, i] {
      started.wait();
      return i;
    }));
  start.set_value();
  int sum = 0;
  for (auto& each : runners) sum += each.get();
  say("started together: %d", sum);
  std::future<int> abandoned = std::promise<int>().get_future();
  try {
    abandoned.get();
  } catch (const std::future_error& error) {
    say("broken: %d", error.code() == std::future_errc::broken_promise);
  }
}

}  // namespace

int main() {
  all();
  std::thread(all).join();
  return finish();
}
