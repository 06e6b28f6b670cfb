// SPDX-License-Identifier: Apache-2.0
// Thread-local variables: fresh in each of hundreds of threads one after another, kept across waits, destroyed at the
// end.
#include "check.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> constructed{0}, destroyed{0};

struct Counted {
  std::string text = "fresh";
  std::vector<int> numbers = std::vector<int>(100, 7);
  size_t uses = 0;
  Counted() { constructed++; }
  ~Counted() {
    destroyed++;
    CHECK(numbers.size() == 100 + uses);
  }
};

thread_local int plain = 42;
thread_local int zero;
thread_local char large[3000];
thread_local Counted counted;
thread_local std::unique_ptr<std::string> pointer;
__thread long old_style = 1234567;
alignas(64) thread_local int aligned_value = 5;

void use(int number, bool wait) {
  CHECK(plain == 42);
  CHECK(zero == 0);
  CHECK(old_style == 1234567);
  CHECK(aligned_value == 5 && reinterpret_cast<uintptr_t>(&aligned_value) % 64 == 0);
  for (char byte : large) CHECK(byte == 0);
  CHECK(counted.text == "fresh" && counted.numbers.size() == 100);
  CHECK(pointer == nullptr);
  plain = zero = number;
  old_style = number;
  aligned_value = number;
  memset(large, number | 1, sizeof large);
  counted.text = "used by " + std::to_string(number);
  counted.numbers.push_back(number);
  counted.uses++;
  pointer = std::make_unique<std::string>(counted.text);
  if (wait) {
    for (int i = 0; i < 5; i++) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      std::this_thread::yield();
    }
  }
  CHECK(plain == number && zero == number && old_style == number && aligned_value == number);
  CHECK(*pointer == "used by " + std::to_string(number));
  errno = number + 1;
}

struct EndsLast {
  // A destructor at the thread's end that waits and makes a thread.
  ~EndsLast() {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::thread([] {
      plain++;
      CHECK(plain == 43);
    }).join();
    destroyed += 1000;
  }
};
thread_local EndsLast ends_last;

}  // namespace

int main() {
  for (int i = 0; i < 500; i++) {
    std::thread([i] {
      CHECK(errno == 0);
      use(i, false);
    }).join();
  }
  say("in sequence: %d constructed, %d destroyed", constructed.load(), destroyed.load());
  for (int round = 0; round < 4; round++) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 100; i++) threads.emplace_back([i] { use(i, true); });
    for (auto& thread : threads) thread.join();
  }
  say("at once: %d constructed, %d destroyed", constructed.load(), destroyed.load());
  std::thread([] { (void)&ends_last; }).join();
  std::thread([] { pthread_exit(((void)&ends_last, nullptr)); }).join();
  say("destructors that wait: %d", destroyed.load());
  use(3, true);
  say("main: %s", pointer->c_str());
  return finish();
}
