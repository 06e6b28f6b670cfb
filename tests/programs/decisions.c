// SPDX-License-Identifier: Apache-2.0
// Much to decide and nothing from outside: threads that meet in locks, condition variables, semaphores, barriers, pipes, joins and
// yields, main among them, without clocks, files or input. What is printed does not depend on who ran when.
#include "check.h"

#include <sched.h>
#include <semaphore.h>

enum { kThreads = 8, kRounds = 40 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t tokens;
static long turn, sum, table;

// In turn, by a condition variable.
static void* counts_in_turn(void* argument) {
  for (int i = 0; i < kRounds; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % kThreads != as_long(argument)) pthread_cond_wait(&changed, &mutex);
    sum += turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < kRounds; i++) {
    if (i % 4 == 0) {
      pthread_rwlock_wrlock(&table_lock);
      table++;
    } else {
      pthread_rwlock_rdlock(&table_lock);
    }
    sched_yield();
    pthread_rwlock_unlock(&table_lock);
  }
  return NULL;
}

struct ends {
  int from, to;
};

// Adds one to what comes through a pipe and passes it on.
static void* passes_on(void* argument) {
  struct ends* ends = argument;
  long value;
  while (read(ends->from, &value, sizeof value) == sizeof value) {
    value++;
    MUST(write(ends->to, &value, sizeof value) == sizeof value);
    sem_post(&tokens);
  }
  close(ends->to);
  return NULL;
}

static void* makes_threads(void* argument) {
  long depth = as_long(argument);
  if (depth == 0) return as_pointer(1);
  pthread_t left = start_thread(makes_threads, as_pointer(depth - 1));
  pthread_t right = start_thread(makes_threads, as_pointer(depth - 1));
  return as_pointer(as_long(join_thread(left)) + as_long(join_thread(right)));
}

int main(void) {
  pthread_t threads[kThreads], relay[kThreads];
  struct ends ends[kThreads];
  int first[2], last[2];
  pthread_barrier_init(&barrier, NULL, kThreads);
  sem_init(&tokens, 0, 0);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(counts_in_turn, as_pointer(i));
  MUST(pipe(first) == 0);
  last[0] = first[0];
  for (int i = 0; i < kThreads; i++) {
    int next[2];
    MUST(pipe(next) == 0);
    ends[i] = (struct ends){last[0], next[1]};
    last[0] = next[0];
    relay[i] = start_thread(passes_on, &ends[i]);
  }
  for (long i = 0; i < kRounds; i++) MUST(write(first[1], &i, sizeof i) == sizeof i);
  close(first[1]);
  for (int i = 0; i < kThreads * kRounds; i++) sem_wait(&tokens);
  long relayed = 0, value;
  for (int i = 0; i < kRounds; i++) {
    MUST(read(last[0], &value, sizeof value) == sizeof value);
    relayed += value;
  }
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  for (int i = 0; i < kThreads; i++) join_thread(relay[i]);
  say("in turn %ld, table %ld, relayed %ld", sum, table, relayed);
  say("threads of threads: %ld", as_long(in_thread(makes_threads, as_pointer(5))));
  return finish();
}
