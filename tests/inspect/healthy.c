// SPDX-License-Identifier: Apache-2.0
// Everything that resembles a fault and is none: idle workers at a condition variable, a lock held by one who sleeps, locks taken in turn
// all the time, timed waits in a circle, joins, readers of a silent pipe, and threads that have ended and will be joined.
//
// Says "ready" once all run, and ends with its input.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { kEach = 4, kKinds = 7 };

static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER, slow = PTHREAD_MUTEX_INITIALIZER,
                       left = PTHREAD_MUTEX_INITIALIZER, right = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool = PTHREAD_COND_INITIALIZER;
static volatile int ending;
static int ends[2];
static sem_t running;

static void pause_for(long milliseconds) {
  const struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&span, NULL);
}

static void idles(void) {
  pthread_mutex_lock(&pool_mutex);
  while (!ending) pthread_cond_wait(&pool, &pool_mutex);
  pthread_mutex_unlock(&pool_mutex);
}

static void sleeps_with_lock(void) {
  while (!ending) {
    pthread_mutex_lock(&slow);
    pause_for(50);
    pthread_mutex_unlock(&slow);
  }
}

static void takes_both(void) {
  while (!ending) {
    pthread_mutex_lock(&left);
    pthread_mutex_lock(&right);
    pause_for(0);
    pthread_mutex_unlock(&right);
    pthread_mutex_unlock(&left);
  }
}

// Gives up after a while, as the lock's holder may do: a circle that ends by itself.
static void tries_the_other_way(void) {
  while (!ending) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&right);
    if (pthread_mutex_timedlock(&left, &until) == 0) pthread_mutex_unlock(&left);
    pthread_mutex_unlock(&right);
    pause_for(1);
  }
}

static void reads(void) {
  char byte;
  (void)!read(ends[0], &byte, 1);
}

static void* nothing(void* argument) { return argument; }

static void joins(void) {
  while (!ending) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) == 0) pthread_join(thread, NULL);
    pause_for(1);
  }
}

static void ends_at_once(void) {}

static void* begins(void* argument) {
  static void (*const kinds[kKinds])(void) = {idles, sleeps_with_lock, takes_both, tries_the_other_way, reads,
                                              joins, ends_at_once};
  sem_post(&running);
  kinds[(intptr_t)argument]();
  return NULL;
}

int main(void) {
  pthread_t threads[kKinds * kEach];
  char byte;
  if (pipe(ends) != 0 || sem_init(&running, 0, 0) != 0) return 1;
  for (intptr_t i = 0; i < kKinds * kEach; i++)
    if (pthread_create(&threads[i], NULL, begins, (void*)(i % kKinds)) != 0) return 1;
  for (int i = 0; i < kKinds * kEach; i++)
    while (sem_wait(&running) != 0) continue;
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, &byte, 1) > 0) continue;
  pthread_mutex_lock(&pool_mutex);
  ending = 1;
  pthread_cond_broadcast(&pool);
  pthread_mutex_unlock(&pool_mutex);
  if (write(ends[1], "xxxx", kEach) != kEach) return 1;
  for (int i = 0; i < kKinds * kEach; i++) pthread_join(threads[i], NULL);
  return 0;
}
