// SPDX-License-Identifier: Apache-2.0
// Exceptions in threads: thrown across frames that wait, in flight in many threads at once, nested, rethrown, handed
// over.
#include "check.h"

#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> unwound{0};

struct Unwound {
  ~Unwound() { unwound++; }
};

void thrower(int depth, int number) {
  Unwound here;
  if (depth == 0) throw std::runtime_error("number " + std::to_string(number));
  std::this_thread::yield();
  thrower(depth - 1, number);
}

void in_flight(int number) {
  for (int i = 0; i < 20; i++) {
    try {
      try {
        thrower(10, number * 100 + i);
      } catch (const std::exception& error) {
        // Waiting with an exception caught: what is in flight belongs to the thread.
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        CHECK(error.what() == "number " + std::to_string(number * 100 + i));
        CHECK(std::uncaught_exceptions() == 0);
        try {
          throw number;
        } catch (int inner) {
          std::this_thread::yield();
          CHECK(inner == number);
        }
        throw;
      }
    } catch (const std::runtime_error& error) {
      CHECK(error.what() == "number " + std::to_string(number * 100 + i));
    }
  }
}

struct WaitsWhileUnwinding {
  int expected;
  ~WaitsWhileUnwinding() {
    CHECK(std::uncaught_exceptions() == expected);
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    CHECK(std::uncaught_exceptions() == expected);
  }
};

void unwinding(int number) {
  try {
    WaitsWhileUnwinding waits{1};
    throw std::to_string(number);
  } catch (const std::string& text) {
    CHECK(text == std::to_string(number));
  }
}

void run(const char* what, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; i++) threads.emplace_back(body, i);
  for (auto& thread : threads) thread.join();
  say("%s: unwound %d", what, unwound.load());
}

}  // namespace

int main() {
  run("in flight", in_flight);
  run("waits while unwinding", unwinding);

  // Handed to another thread.
  std::exception_ptr handed;
  std::thread([&] {
    try {
      thrower(3, 7);
    } catch (...) {
      handed = std::current_exception();
    }
  }).join();
  try {
    std::rethrow_exception(handed);
  } catch (const std::runtime_error& error) {
    say("handed over: %s", error.what());
  }
  handed = nullptr;

  std::promise<int> promise;
  std::thread thread([&] {
    try {
      throw std::out_of_range("promised");
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  });
  try {
    promise.get_future().get();
  } catch (const std::out_of_range& error) {
    say("by a promise: %s", error.what());
  }
  thread.join();

  // pthread_exit unwinds C++ frames, and passes through catch (...) that rethrows.
  std::thread([] {
    try {
      Unwound here;
      pthread_exit(nullptr);
    } catch (...) {
      say("forced unwinding seen");
      throw;
    }
  }).join();
  say("unwound %d", unwound.load());
  return finish();
}
