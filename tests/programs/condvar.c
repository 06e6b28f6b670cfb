// SPDX-License-Identifier: Apache-2.0
// Condition variables: signal, broadcast, both clocks, between threads and main in both directions, queue and destroy.
#include "check.h"

#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int waiting, tickets, passed;

static void* take_ticket(void* unused) {
  pthread_mutex_lock(&mutex);
  waiting++;
  while (tickets == 0) pthread_cond_wait(&cond, &mutex);
  tickets--;
  passed++;
  pthread_mutex_unlock(&mutex);
  return unused;
}

// Every waiter holds the mutex until it waits, so having the mutex and seeing the count means that they wait.
static void until_waiting(int count) {
  for (;;) {
    pthread_mutex_lock(&mutex);
    int now = waiting;
    pthread_mutex_unlock(&mutex);
    if (now == count) return;
    sched_yield();
  }
}

static void signals_and_broadcasts(void) {
  enum { kThreads = 30 };
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(take_ticket, NULL);
  until_waiting(kThreads);
  for (int i = 0; i < 10; i++) {
    pthread_mutex_lock(&mutex);
    tickets++;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mutex);
  }
  while (__atomic_load_n(&passed, __ATOMIC_ACQUIRE) != 10) sched_yield();
  pthread_mutex_lock(&mutex);
  tickets = kThreads - 10;
  pthread_mutex_unlock(&mutex);
  // Signalled without the mutex held.
  pthread_cond_broadcast(&cond);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("passed %d, tickets left %d", passed, tickets);
}

static void timed(void) {
  pthread_cond_t monotonic;
  pthread_condattr_t attribute;
  pthread_condattr_init(&attribute);
  MUST(pthread_condattr_setclock(&attribute, CLOCK_MONOTONIC) == 0);
  MUST(pthread_cond_init(&monotonic, &attribute) == 0);
  pthread_condattr_destroy(&attribute);
  pthread_mutex_lock(&mutex);
  long long start = now_ns(CLOCK_MONOTONIC);
  struct timespec limit = after_ms(CLOCK_REALTIME, 40);
  int error;
  while ((error = pthread_cond_timedwait(&cond, &mutex, &limit)) == 0) {
  }
  say("realtime: %s, at least 39 ms: %d", name_of_errno(error), ms_since(start) >= 39);
  start = now_ns(CLOCK_MONOTONIC);
  limit = after_ms(CLOCK_MONOTONIC, 40);
  while ((error = pthread_cond_timedwait(&monotonic, &mutex, &limit)) == 0) {
  }
  say("monotonic: %s, at least 40 ms: %d", name_of_errno(error), ms_since(start) >= 40);
  start = now_ns(CLOCK_MONOTONIC);
  limit = after_ms(CLOCK_MONOTONIC, 30);
  while ((error = pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &limit)) == 0) {
  }
  say("clockwait: %s, at least 30 ms: %d", name_of_errno(error), ms_since(start) >= 30);
  limit = after_ms(CLOCK_REALTIME, 30);
  while ((error = pthread_cond_clockwait(&cond, &mutex, CLOCK_REALTIME, &limit)) == 0) {
  }
  say("clockwait: %s", name_of_errno(error));
  SHOW_ERROR(pthread_cond_clockwait(&cond, &mutex, CLOCK_PROCESS_CPUTIME_ID, &limit));
  limit.tv_sec = 1;
  SHOW_ERROR(pthread_cond_timedwait(&cond, &mutex, &limit));
  limit.tv_nsec = -1;
  SHOW_ERROR(pthread_cond_timedwait(&cond, &mutex, &limit));
  // The mutex came back each time.
  SHOW_ERROR(pthread_mutex_trylock(&mutex));
  pthread_mutex_unlock(&mutex);
  SHOW_ERROR(pthread_cond_destroy(&monotonic));
}

// A ball between two sides, each with a condition variable.
static pthread_cond_t turns[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int turn;
enum { kTurns = 500 };

static void* player(void* argument) {
  int side = (int)as_long(argument);
  for (int i = 0; i < kTurns; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % 2 != side) pthread_cond_wait(&turns[side], &mutex);
    turn++;
    pthread_cond_signal(&turns[1 - side]);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void rally(int with_main) {
  turn = 0;
  pthread_t first = start_thread(player, as_pointer(0));
  if (with_main)
    player(as_pointer(1));
  else
    in_thread(player, as_pointer(1));
  join_thread(first);
  say("rally%s: %d", with_main ? " with main" : "", turn);
}

// A bounded queue with several producers and consumers.
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int queue[4], queued;

static void* produce(void* unused) {
  for (int i = 1; i <= 400; i++) {
    pthread_mutex_lock(&mutex);
    while (queued == 4) pthread_cond_wait(&not_full, &mutex);
    queue[queued++] = i;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&mutex);
  }
  return unused;
}

static void* consume(void* unused) {
  long sum = 0;
  for (int i = 0; i < 400; i++) {
    pthread_mutex_lock(&mutex);
    while (queued == 0) {
      struct timespec limit = after_ms(CLOCK_REALTIME, 10000);
      pthread_cond_timedwait(&not_empty, &mutex, &limit);
    }
    sum += queue[--queued];
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&mutex);
  }
  (void)unused;
  return as_pointer(sum);
}

static void producers_and_consumers(void) {
  pthread_t producers[5], consumers[5];
  for (int i = 0; i < 5; i++) {
    producers[i] = start_thread(produce, NULL);
    consumers[i] = start_thread(consume, NULL);
  }
  long sum = 0;
  for (int i = 0; i < 5; i++) {
    join_thread(producers[i]);
    sum += as_long(join_thread(consumers[i]));
  }
  say("consumed %ld", sum);
}

// Destroyed right after the broadcast: glibc waits until the woken have left it.
static void* one_shot_waiter(void* argument) {
  pthread_cond_t* own = argument;
  pthread_mutex_lock(&mutex);
  waiting++;
  while (tickets == 0) pthread_cond_wait(own, &mutex);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void destroy_after_broadcast(void) {
  for (int round = 0; round < 20; round++) {
    pthread_cond_t* own = malloc(sizeof *own);
    pthread_t threads[4];
    pthread_cond_init(own, NULL);
    tickets = waiting = 0;
    for (int i = 0; i < 4; i++) threads[i] = start_thread(one_shot_waiter, own);
    until_waiting(4);
    pthread_mutex_lock(&mutex);
    tickets = 1;
    pthread_cond_broadcast(own);
    pthread_mutex_unlock(&mutex);
    CHECK(pthread_cond_destroy(own) == 0);
    memset(own, 0xff, sizeof *own);
    free(own);
    for (int i = 0; i < 4; i++) join_thread(threads[i]);
  }
  say("destroyed 20");
}

// A recursive mutex, held once, is released by the wait. An error-checking one tells its owner.
static void other_mutexes(void) {
  pthread_mutex_t kinds[2] = {PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP, PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP};
  for (int i = 0; i < 2; i++) {
    struct timespec limit = after_ms(CLOCK_REALTIME, 10);
    pthread_mutex_lock(&kinds[i]);
    int error;
    while ((error = pthread_cond_timedwait(&cond, &kinds[i], &limit)) == 0) {
    }
    say("mutex kind %d: %s, unlock: %s", i, name_of_errno(error), name_of_errno(pthread_mutex_unlock(&kinds[i])));
  }
  struct timespec limit = after_ms(CLOCK_REALTIME, 10);
  say("not the owner: %s", name_of_errno(pthread_cond_timedwait(&cond, &kinds[1], &limit)));
}

static void* all(void* unused) {
  waiting = tickets = passed = 0;
  signals_and_broadcasts();
  timed();
  rally(0);
  producers_and_consumers();
  destroy_after_broadcast();
  other_mutexes();
  return unused;
}

int main(void) {
  say("-- from main");
  all(NULL);
  rally(1);
  say("-- from a thread");
  in_thread(all, NULL);
  return finish();
}
