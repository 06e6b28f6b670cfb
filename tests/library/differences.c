// SPDX-License-Identifier: Apache-2.0
// What a program can tell of being woven: README, "What differs". A line each, with the answer of this run.
#include "tests/programs/check.h"

#include <dirent.h>
#include <sched.h>

enum { kWaiting = 50 };

static pthread_barrier_t all;
static pthread_mutex_t turn_mutex = PTHREAD_MUTEX_INITIALIZER;

static void answer(const char* what, int yes) { say("%s: %s", what, yes ? "yes" : "no"); }

static void* knows_its_task(void* unused) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d", (int)gettid());
  answer("gettid() is in /proc/self/task", access(path, F_OK) == 0);
  return unused;
}

static void* waits(void* unused) {
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return unused;
}

static int tasks(void) {
  int count = 0;
  DIR* directory = opendir("/proc/self/task");
  MUST(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

static volatile int burnt;

// Eighty milliseconds of CPU in small pieces, others running in between.
static void* burns(void* unused) {
  for (int i = 0; i < 800; i++) {
    long long until = now_ns(CLOCK_MONOTONIC) + 100000;
    while (now_ns(CLOCK_MONOTONIC) < until) burnt++;
    sched_yield();
  }
  return unused;
}

static void* reads_its_clock(void* argument) {
  pthread_mutex_lock(&turn_mutex);
  pthread_mutex_unlock(&turn_mutex);
  answer("a thread that waited has used less than 40 ms of CPU", now_ns(CLOCK_THREAD_CPUTIME_ID) < 40000000);
  return argument;
}

static void* stays(void* argument) {
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return argument;
}

int main(void) {
  pthread_t threads[kWaiting];
  in_thread(knows_its_task, NULL);

  pthread_barrier_init(&all, NULL, kWaiting + 1);
  for (int i = 0; i < kWaiting; i++) threads[i] = start_thread(waits, NULL);
  pthread_barrier_wait(&all);
  answer("a kernel thread for each thread", tasks() >= kWaiting);
  pthread_barrier_wait(&all);
  for (int i = 0; i < kWaiting; i++) join_thread(threads[i]);

  pthread_mutex_lock(&turn_mutex);
  threads[0] = start_thread(reads_its_clock, NULL);
  in_thread(burns, NULL);
  pthread_mutex_unlock(&turn_mutex);
  join_thread(threads[0]);

  pthread_barrier_init(&all, NULL, 2);
  threads[0] = start_thread(stays, NULL);
  pthread_barrier_wait(&all);
  cpu_set_t set;
  MUST(pthread_getaffinity_np(threads[0], sizeof set, &set) == 0);
  answer("the affinity of another thread can be set", pthread_setaffinity_np(threads[0], sizeof set, &set) == 0);
  struct sched_param parameters = {0};
  answer("so can its scheduling", pthread_setschedparam(threads[0], SCHED_BATCH, &parameters) == 0);
  pthread_barrier_wait(&all);
  join_thread(threads[0]);
  return finish();
}
