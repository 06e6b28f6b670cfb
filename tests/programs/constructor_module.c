// SPDX-License-Identifier: Apache-2.0
// A library that makes its threads in its constructor, as OpenBLAS does: each waits for work, which is to square a number.
#include "constructor_module.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

int pool_signals;

static sem_t work, done;
static pthread_t threads[kPoolThreads];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long next, sum;  // guarded by lock

static void* square(void* argument) {
  for (;;) {
    while (sem_wait(&work)) {
    }
    pthread_mutex_lock(&lock);
    long number = next++;
    sum += number * number;
    pthread_mutex_unlock(&lock);
    sem_post(&done);
    if (number >= kPoolWork - kPoolThreads) return argument;
  }
}

static void on_signal(int number) {
  (void)number;
  pool_signals++;
}

__attribute__((constructor)) static void begin(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);
  signal(SIGUSR2, on_signal);
  sem_init(&work, 0, 0);
  sem_init(&done, 0, 0);
  for (int i = 0; i < kPoolThreads; i++) pthread_create(&threads[i], NULL, square, NULL);
  sem_post(&work);
  while (sem_wait(&done)) {
  }
}

long pool_sum_of_squares(void) {
  for (int i = 1; i < kPoolWork; i++) sem_post(&work);
  for (int i = 0; i < kPoolThreads; i++) pthread_join(threads[i], NULL);
  return sum;
}
