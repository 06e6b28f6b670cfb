// SPDX-License-Identifier: Apache-2.0
// Contended locks among threads and main, and a lock held across waits in read, sleep and another lock.
#include "check.h"

#include <semaphore.h>
#include <sys/socket.h>

enum { kThreads = 20, kRounds = 2000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static long counter, in_section, violations;

static void* increment(void* unused) {
  for (int i = 0; i < kRounds; i++) {
    pthread_mutex_lock(&mutex);
    if (__atomic_add_fetch(&in_section, 1, __ATOMIC_RELAXED) != 1) violations++;
    counter++;
    if (i % 100 == 0) sched_yield();
    __atomic_sub_fetch(&in_section, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&mutex);
  }
  return unused;
}

static int pair[2];
static sem_t has_lock;

static void* hold_across_read(void* unused) {
  char byte = 0;
  pthread_mutex_lock(&mutex);
  sem_post(&has_lock);
  MUST(read(pair[0], &byte, 1) == 1);
  struct timespec nap = {0, 3000000};
  nanosleep(&nap, NULL);
  counter++;
  pthread_mutex_unlock(&mutex);
  return unused;
}

static void* wants_lock(void* unused) {
  pthread_mutex_lock(&mutex);
  long seen = counter++;
  pthread_mutex_unlock(&mutex);
  CHECK(seen >= 1);
  return unused;
}

static void* nested(void* argument) {
  for (int i = 0; i < 300; i++) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&inner);
    counter++;
    if (i % 50 == 0) sched_yield();
    pthread_mutex_unlock(&inner);
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

static int depth_reached;

static void recurse(int depth) {
  pthread_mutex_lock(&recursive);
  if (depth > depth_reached) depth_reached = depth;
  if (depth < 50) recurse(depth + 1);
  if (depth == 25) sched_yield();
  counter++;
  pthread_mutex_unlock(&recursive);
}

static void* recursion(void* unused) {
  for (int i = 0; i < 20; i++) recurse(1);
  return unused;
}

static void run(const char* what, thread_start start, int with_main) {
  pthread_t threads[kThreads];
  counter = 0;
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(start, NULL);
  if (with_main) start(NULL);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("%s: %ld", what, counter);
}

// Timed lockers give up in the middle of the crowd; whoever is woken and gives up passes the lock on.
static sem_t done;

static void* impatient(void* unused) {
  long got = 0;
  for (int i = 0; i < 100; i++) {
    struct timespec limit = after_ms(CLOCK_REALTIME, 0);
    limit.tv_nsec += 300000;
    if (limit.tv_nsec >= 1000000000L) {
      limit.tv_sec++;
      limit.tv_nsec -= 1000000000L;
    }
    int error = pthread_mutex_timedlock(&mutex, &limit);
    CHECK(error == 0 || error == ETIMEDOUT);
    if (error != 0) continue;
    got++;
    counter++;
    sched_yield();
    pthread_mutex_unlock(&mutex);
  }
  sem_post(&done);
  (void)unused;
  return as_pointer(got);
}

static void timed_crowd(void) {
  pthread_t threads[kThreads], patient[4];
  counter = 0;
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(impatient, NULL);
  for (int i = 0; i < 4; i++) patient[i] = start_thread(increment, NULL);
  long got = 0;
  for (int i = 0; i < kThreads; i++) got += as_long(join_thread(threads[i]));
  for (int i = 0; i < 4; i++) join_thread(patient[i]);
  CHECK(counter == got + 4 * kRounds);
  say("a timed crowd came to its end");
}

int main(void) {
  sem_init(&has_lock, 0, 0);
  sem_init(&done, 0, 0);
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  run("threads", increment, 0);
  run("threads and main", increment, 1);
  say("violations %ld", violations);
  run("nested", nested, 1);
  run("recursive", recursion, 1);
  say("depth %d", depth_reached);

  counter = 0;
  pthread_t holder = start_thread(hold_across_read, NULL), waiters[5];
  sem_wait(&has_lock);
  for (int i = 0; i < 5; i++) waiters[i] = start_thread(wants_lock, NULL);
  settle();
  CHECK(pthread_mutex_trylock(&mutex) == EBUSY);
  MUST(write(pair[1], "g", 1) == 1);
  wants_lock(NULL);
  join_thread(holder);
  for (int i = 0; i < 5; i++) join_thread(waiters[i]);
  say("after a lock held across read: %ld", counter);
  timed_crowd();
  return finish();
}
