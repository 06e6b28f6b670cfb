// SPDX-License-Identifier: Apache-2.0
// Threads that compute and now and then give way: a plain pthread program that shows how weft spreads them over
// workers.
//
// Usage: busy THREADS PIECES. One thread makes all the others, which each work off PIECES pieces of about 100 us with a
// sched_yield behind each. Prints the seconds from the first creation to the last end.
#include <pthread.h>
#include <sched.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace {

struct Work {
  int threads = 0;
  long pieces = 0;
};

void* compute(void* argument) {
  const Work& work = *static_cast<Work*>(argument);
  volatile uint64_t sum = 0;
  for (long piece = 0; piece < work.pieces; ++piece) {
    for (int i = 0; i < 300'000; ++i) sum = sum + static_cast<uint64_t>(i);
    sched_yield();
  }
  return nullptr;
}

void* make_all(void* argument) {
  Work& work = *static_cast<Work*>(argument);
  std::vector<pthread_t> threads(static_cast<size_t>(work.threads));
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, nullptr, compute, &work) != 0) {
      fputs("busy: no thread\n", stderr);
      exit(1);
    }
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  return nullptr;
}

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fputs("usage: busy THREADS PIECES\n", stderr);
    return 2;
  }
  Work work = {atoi(argv[1]), atol(argv[2])};
  double before = seconds();
  pthread_t maker;
  if (pthread_create(&maker, nullptr, make_all, &work) != 0) return 1;
  pthread_join(maker, nullptr);
  printf("seconds %.4f\n", seconds() - before);
  return 0;
}
