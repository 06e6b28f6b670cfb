// SPDX-License-Identifier: Apache-2.0
// Memory of all kinds allocated in one thread and freed in another, kept by thread-locals and keys, while threads come and go.
#include "check.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 16, kRounds = 60;

thread_local std::vector<std::string> kept;
thread_local std::unique_ptr<std::array<char, 5000>> late;
pthread_key_t key;
std::atomic<long> destroyed{0};

void destroy(void* value) {
  // A destructor that allocates again, after the allocator's own may have run.
  std::string text(300, 'd');
  destroyed += text.size() == 300;
  free(value);
}

class Mailbox {
 public:
  void put(std::unique_ptr<std::string> letter) {
    std::lock_guard lock(mutex_);
    letters_.push_back(std::move(letter));
    arrived_.notify_one();
  }
  std::unique_ptr<std::string> take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !letters_.empty(); });
    auto letter = std::move(letters_.back());
    letters_.pop_back();
    return letter;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::unique_ptr<std::string>> letters_;
};
std::array<Mailbox, kThreads> boxes;

bool filled(const char* at, size_t size, char with) {
  for (size_t i = 0; i < size; i++)
    if (at[i] != with) return false;
  return true;
}

void other_calls(int number) {
  size_t size = 16u << number % 10;
  auto* block = static_cast<char*>(malloc(size));
  memset(block, number, size);
  block = static_cast<char*>(realloc(block, size * 3));
  CHECK(filled(block, size, static_cast<char>(number)));
  CHECK(malloc_usable_size(block) >= size * 3);
  free(block);
  auto* zeroes = static_cast<char*>(calloc(size, 3));
  CHECK(filled(zeroes, size * 3, 0));
  free(zeroes);
  void* aligned = nullptr;
  CHECK(posix_memalign(&aligned, 4096, size) == 0 && reinterpret_cast<uintptr_t>(aligned) % 4096 == 0);
  free(aligned);
  free(aligned_alloc(256, 512));
}

long letters(int number) {
  long bytes = 0;
  pthread_setspecific(key, malloc(64));
  for (int round = 0; round < kRounds; round++) {
    size_t length = static_cast<size_t>(number * 97 + round * 31) % 3000 + 1;
    boxes[(number + round) % kThreads].put(std::make_unique<std::string>(length, static_cast<char>('a' + number)));
    other_calls(number + round);
    auto letter = boxes[number].take();
    CHECK(filled(letter->data(), letter->size(), (*letter)[0]));
    bytes += static_cast<long>(letter->size());
    if (round % 8 == 0) kept.push_back(*letter);
    if (round % 16 == 0) std::this_thread::yield();
  }
  late = std::make_unique<std::array<char, 5000>>();
  return bytes;
}

}  // namespace

int main() {
  MUST(pthread_key_create(&key, destroy) == 0);
  for (int again = 0; again < 4; again++) {
    std::atomic<long> bytes{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++) threads.emplace_back([&bytes, i] { bytes += letters(i); });
    for (auto& thread : threads) thread.join();
    say("bytes %ld, values destroyed %ld", bytes.load(), destroyed.load());
  }
  std::vector<std::thread> passing;
  for (int i = 0; i < 400; i++) {
    passing.emplace_back([i] { other_calls(i); });
    if (i % 20 == 19) {
      for (auto& thread : passing) thread.join();
      passing.clear();
    }
  }
  return finish();
}
