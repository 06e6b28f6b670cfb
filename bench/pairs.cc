// SPDX-License-Identifier: Apache-2.0
// What a second CPU, or a second worker, is worth: threads in pairs, all of one process, of which one asks over a socket pair and the
// other computes and answers; and how soon work that one thread makes begins elsewhere.
//
// Usage: pairs PAIRS NANOSECONDS MILLISECONDS     each answer takes so much computing; prints answers a second
//        pairs spread THREADS                     one thread wakes so many at once and computes on for 20 ms; prints the median over
//                                                 20 rounds of the microseconds until the first of them has run
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "compute.h"

namespace {

std::atomic<bool> stop = false;
long steps;

struct Pair {
  int ends[2];
  long answered = 0;
};

void* answer(void* argument) {
  int end = static_cast<Pair*>(argument)->ends[1];
  char message[64];
  for (ssize_t got; (got = read(end, message, sizeof message)) > 0;) {
    compute(steps);
    if (write(end, message, static_cast<size_t>(got)) != got) break;
  }
  return nullptr;
}

void* ask(void* argument) {
  Pair& pair = *static_cast<Pair*>(argument);
  char message[64] = {};
  while (!stop.load(std::memory_order_relaxed)) {
    if (write(pair.ends[0], message, sizeof message) != sizeof message) break;
    if (read(pair.ends[0], message, sizeof message) <= 0) break;
    pair.answered++;
  }
  shutdown(pair.ends[0], SHUT_RDWR);
  return nullptr;
}

pthread_t start(void* (*routine)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, routine, argument) != 0) {
    fputs("pairs: no thread\n", stderr);
    exit(1);
  }
  return thread;
}

void exchange(int count, long milliseconds) {
  std::vector<Pair> pairs(static_cast<size_t>(count));
  std::vector<pthread_t> threads;
  for (Pair& pair : pairs) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair.ends) != 0) exit(1);
    threads.push_back(start(answer, &pair));
  }
  int64_t before = now_ns();
  for (Pair& pair : pairs) threads.push_back(start(ask, &pair));
  usleep(static_cast<useconds_t>(milliseconds * 1000));
  stop = true;
  double seconds = static_cast<double>(now_ns() - before) / 1e9;
  long all = 0;
  for (const Pair& pair : pairs) all += pair.answered;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  printf("rate=%.0f\n", static_cast<double>(all) / seconds);
}

constexpr int kRounds = 20;
constexpr long kComputesOn = 20'000'000;  // nanoseconds

struct Spread {
  sem_t go, done;
  std::atomic<int64_t> first_ran = 0;
};

void* runs_once_a_round(void* argument) {
  Spread& spread = *static_cast<Spread*>(argument);
  for (int round = 0; round < kRounds; round++) {
    sem_wait(&spread.go);
    int64_t none = 0;
    spread.first_ran.compare_exchange_strong(none, now_ns());
    compute(steps);
    sem_post(&spread.done);
  }
  return nullptr;
}

struct Maker {
  Spread* spread;
  int threads;
  std::vector<int64_t> late;
};

void* wakes_all(void* argument) {
  Maker& maker = *static_cast<Maker*>(argument);
  Spread& spread = *maker.spread;
  for (int round = 0; round < kRounds; round++) {
    usleep(20'000);  // every worker sleeps by then
    spread.first_ran = 0;
    int64_t before = now_ns();
    for (int i = 0; i < maker.threads; i++) sem_post(&spread.go);
    while (now_ns() - before < kComputesOn) {
    }
    int64_t first = spread.first_ran.load();
    maker.late.push_back(first ? first - before : kComputesOn);
    for (int i = 0; i < maker.threads; i++) sem_wait(&spread.done);
  }
  return nullptr;
}

void spread_out(int count) {
  Spread spread;
  sem_init(&spread.go, 0, 0);
  sem_init(&spread.done, 0, 0);
  std::vector<pthread_t> threads;
  for (int i = 0; i < count; i++) threads.push_back(start(runs_once_a_round, &spread));
  Maker maker = {&spread, count, {}};
  threads.push_back(start(wakes_all, &maker));
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  std::nth_element(maker.late.begin(), maker.late.begin() + kRounds / 2, maker.late.end());
  printf("first_us=%.1f most_us=%.1f\n", static_cast<double>(maker.late[kRounds / 2]) / 1e3,
         static_cast<double>(*std::max_element(maker.late.begin(), maker.late.end())) / 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "spread") == 0 && atoi(argv[2]) > 0) {
    steps = steps_in(100'000);
    spread_out(atoi(argv[2]));
    return 0;
  }
  if (argc != 4 || atoi(argv[1]) <= 0) {
    fputs("usage: pairs PAIRS NANOSECONDS MILLISECONDS | pairs spread THREADS\n", stderr);
    return 2;
  }
  steps = steps_in(atol(argv[2]));
  exchange(atoi(argv[1]), atol(argv[3]));
  return 0;
}
