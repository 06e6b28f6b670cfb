// SPDX-License-Identifier: Apache-2.0
// How fast many threads hand one mutex on: a plain pthread program, run natively and woven.
//
// Usage: contended THREADS NANOSECONDS MILLISECONDS. Each thread takes the mutex, computes for about so many nanoseconds,
// gives it back and begins again, all for so many milliseconds. Prints one line: acquisitions a second, and those of the
// threads that had fewest and most.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "compute.h"

namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
std::atomic<bool> stop = false;
long steps;

void* take_turns(void* argument) {
  long taken = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    pthread_mutex_lock(&mutex);
    compute(steps);
    pthread_mutex_unlock(&mutex);
    taken++;
  }
  *static_cast<long*>(argument) = taken;
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || atoi(argv[1]) <= 0) {
    fputs("usage: contended THREADS NANOSECONDS MILLISECONDS\n", stderr);
    return 2;
  }
  steps = steps_in(atol(argv[2]));
  std::vector<pthread_t> threads(static_cast<size_t>(atoi(argv[1])));
  std::vector<long> taken(threads.size());
  int64_t before = now_ns();
  for (size_t i = 0; i < threads.size(); i++)
    if (pthread_create(&threads[i], nullptr, take_turns, &taken[i]) != 0) return 1;
  usleep(static_cast<useconds_t>(atol(argv[3]) * 1000));
  stop = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  double seconds = static_cast<double>(now_ns() - before) / 1e9;
  long all = 0;
  for (long each : taken) all += each;
  auto [least, most] = std::minmax_element(taken.begin(), taken.end());
  printf("rate=%.0f least=%ld most=%ld\n", static_cast<double>(all) / seconds, *least, *most);
  return 0;
}
