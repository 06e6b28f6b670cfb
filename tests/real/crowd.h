// SPDX-License-Identifier: Apache-2.0
// A crowd of threads with a connection each, as the client programs of this directory have: all are connected before any goes on,
// and every answer is judged right or wrong.
#pragma once

#include <atomic>
#include <barrier>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

class Crowd {
 public:
  explicit Crowd(int size) : size_(size), together_(size) {}

  int size() const { return size_; }
  void meet() { together_.arrive_and_wait(); }

  bool judge(bool good, const std::string& what) {
    ++(good ? right_ : wrong_);
    if (!good && wrong_ <= 10) fprintf(stderr, "%s\n", what.c_str());
    return good;
  }

  // member(number) is the life of one thread. Prints "right N wrong N"; the exit status.
  template <typename Member>
  int run(Member member) {
    std::vector<std::thread> threads;
    for (int i = 0; i < size_; ++i) threads.emplace_back(member, i);
    for (std::thread& thread : threads) thread.join();
    printf("right %ld wrong %ld\n", right_.load(), wrong_.load());
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  int size_;
  std::barrier<> together_;
  std::atomic<long> right_ = 0, wrong_ = 0;
};

// Text that depends on both numbers and repeats with no short period.
inline std::string content(int number, int round, size_t size) {
  std::string text(size, ' ');
  unsigned state = static_cast<unsigned>(number) * 2654435761u + static_cast<unsigned>(round) + 1;
  for (char& character : text) {
    state = state * 1664525 + 1013904223;
    character = static_cast<char>('a' + (state >> 24) % 26);
  }
  return text;
}
