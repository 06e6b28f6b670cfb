// SPDX-License-Identifier: Apache-2.0
// Micro-benchmarks of what threads do, as a plain pthread program: the driver runs it natively and woven and compares.
//
// Everything runs in a thread, not in main, since under weft only threads that were created are coroutines. Pin it to
// one CPU: each figure is about giving way to another thread, not about two CPUs. Where an iteration is not the thing
// itself, the counter `ns` holds the figure.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// For what keeps its CPU busy throughout: at real-time priority the kernel stops a process for 50 ms in each second.
int64_t busy_ns() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

pthread_t start(void* (*routine)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, routine, argument) != 0) {
    perror("pthread_create");
    exit(1);
  }
  return thread;
}

// The figure is one switch: how often the other ran is counted, since a yield need not switch.
struct Turns {
  std::atomic<bool> stop = false;
  std::atomic<int> last = 0;
  std::atomic<int64_t> switches = 0;

  void turn(int self) {
    if (last.load(std::memory_order_relaxed) != self) {
      last.store(self, std::memory_order_relaxed);
      switches.store(switches.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    sched_yield();
  }
};

// Two threads in one loop.
void yield(benchmark::State& state) {
  static Turns turns;
  constexpr int kTurns = 10'000;
  turns.switches = 0;
  int64_t before = busy_ns();
  for (auto _ : state) {
    pthread_t threads[2];
    for (int self = 0; self < 2; self++) {
      threads[self] = start(
          [](void* argument) -> void* {
            int side = static_cast<int>(reinterpret_cast<intptr_t>(argument));
            for (int i = 0; i < kTurns; i++) turns.turn(side);
            return nullptr;
          },
          reinterpret_cast<void*>(intptr_t{self}));
    }
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
  }
  state.counters["ns"] = static_cast<double>(busy_ns() - before) / static_cast<double>(turns.switches.load());
}

// Two threads that yield at different places: the processor has seen the other's calls last and predicts the returns wrongly.
void yield_elsewhere(benchmark::State& state) {
  Turns turns;
  pthread_t other = start(
      [](void* argument) -> void* {
        auto& shared = *static_cast<Turns*>(argument);
        while (!shared.stop.load(std::memory_order_relaxed)) shared.turn(1);
        return nullptr;
      },
      &turns);
  int64_t before = busy_ns();
  for (auto _ : state) turns.turn(0);
  int64_t taken = busy_ns() - before;
  state.counters["ns"] = static_cast<double>(taken) / static_cast<double>(turns.switches.load());
  turns.stop = true;
  pthread_join(other, nullptr);
}

void create_join(benchmark::State& state) {
  for (auto _ : state) {
    pthread_join(start([](void*) -> void* { return nullptr; }, nullptr), nullptr);
  }
}

void mutex_uncontended(benchmark::State& state) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  for (auto _ : state) {
    pthread_mutex_lock(&mutex);
    benchmark::ClobberMemory();
    pthread_mutex_unlock(&mutex);
  }
}

// Each holder gives way while it holds the mutex, so that the others find it taken, and once more behind, so that they
// get it.
struct Contended {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  int64_t turns = 0;  // guarded by mutex
  std::atomic<bool> stop = false;

  void turn() {
    pthread_mutex_lock(&mutex);
    ++turns;
    sched_yield();
    pthread_mutex_unlock(&mutex);
    sched_yield();
  }
};

void mutex_contended(benchmark::State& state) {
  Contended contended;
  pthread_t others[3];
  for (pthread_t& other : others) {
    other = start(
        [](void* argument) -> void* {
          auto& shared = *static_cast<Contended*>(argument);
          while (!shared.stop.load(std::memory_order_relaxed)) shared.turn();
          return nullptr;
        },
        &contended);
  }
  int64_t before = now_ns();
  for (auto _ : state) contended.turn();
  int64_t taken = now_ns() - before;
  pthread_mutex_lock(&contended.mutex);
  int64_t turns = contended.turns;
  pthread_mutex_unlock(&contended.mutex);
  state.counters["ns"] = static_cast<double>(taken) / static_cast<double>(turns);
  contended.stop = true;
  for (pthread_t other : others) pthread_join(other, nullptr);
}

struct CondvarPair {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  int turn = 0;  // 0 and 1 are the threads, 2 is the end; guarded by mutex

  // Waits for its turn, then gives the turn away. False at the end.
  bool pass(int self, int to) {
    pthread_mutex_lock(&mutex);
    while (turn != self && turn != 2) pthread_cond_wait(&changed, &mutex);
    bool going = turn != 2;
    if (going) turn = to;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    return going;
  }
};

void condvar_round_trip(benchmark::State& state) {
  CondvarPair pair;
  pthread_t other = start(
      [](void* argument) -> void* {
        auto& shared = *static_cast<CondvarPair*>(argument);
        while (shared.pass(1, 0)) {
        }
        return nullptr;
      },
      &pair);
  for (auto _ : state) pair.pass(0, 1);
  pair.pass(0, 2);
  pthread_join(other, nullptr);
}

void pipe_round_trip(benchmark::State& state) {
  struct Pipes {
    int there[2], back[2];
  } pipes;
  if (pipe(pipes.there) != 0 || pipe(pipes.back) != 0) {
    state.SkipWithError("pipe");
    return;
  }
  pthread_t other = start(
      [](void* argument) -> void* {
        auto& shared = *static_cast<Pipes*>(argument);
        for (char byte; read(shared.there[0], &byte, 1) == 1;) {
          if (write(shared.back[1], &byte, 1) != 1) break;
        }
        return nullptr;
      },
      &pipes);
  char byte = 'w';
  for (auto _ : state) {
    if (write(pipes.there[1], &byte, 1) != 1 || read(pipes.back[0], &byte, 1) != 1) {
      state.SkipWithError("a byte was lost");
      break;
    }
  }
  close(pipes.there[1]);
  pthread_join(other, nullptr);
  for (int fd : {pipes.there[0], pipes.back[0], pipes.back[1]}) close(fd);
}

// The figure is by how much a sleep of 200 us was longer than that.
void sleep_lateness(benchmark::State& state) {
  constexpr int64_t kAsked = 200'000;
  int64_t before = now_ns();
  for (auto _ : state) {
    timespec span = {0, kAsked};
    nanosleep(&span, nullptr);
  }
  int64_t each = (now_ns() - before) / static_cast<int64_t>(state.iterations());
  state.counters["ns"] = static_cast<double>(each - kAsked);
}

BENCHMARK(yield)->UseRealTime();
BENCHMARK(yield_elsewhere)->UseRealTime();
BENCHMARK(create_join)->UseRealTime();
BENCHMARK(mutex_uncontended)->UseRealTime();
BENCHMARK(mutex_contended)->UseRealTime();
BENCHMARK(condvar_round_trip)->UseRealTime();
BENCHMARK(pipe_round_trip)->UseRealTime();
BENCHMARK(sleep_lateness)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  pthread_t runner = start(
      [](void*) -> void* {
        benchmark::RunSpecifiedBenchmarks();
        return nullptr;
      },
      nullptr);
  pthread_join(runner, nullptr);
  benchmark::Shutdown();
  return 0;
}
