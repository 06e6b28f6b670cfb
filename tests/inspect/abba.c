// SPDX-License-Identifier: Apache-2.0
// A deadlock: two threads take the same two mutexes in opposite order. Says "ready" once each has its first one.
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void* takes_first_then_second(void* argument) {
  pthread_mutex_lock(&first);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&second);
  pthread_mutex_unlock(&second);
  pthread_mutex_unlock(&first);
  return argument;
}

static void* takes_second_then_first(void* argument) {
  pthread_mutex_lock(&second);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&first);
  pthread_mutex_unlock(&first);
  pthread_mutex_unlock(&second);
  return argument;
}

int main(void) {
  pthread_t threads[2];
  pthread_barrier_init(&both, NULL, 3);
  if (pthread_create(&threads[0], NULL, takes_first_then_second, NULL) != 0) return 1;
  if (pthread_create(&threads[1], NULL, takes_second_then_first, NULL) != 0) return 1;
  pthread_barrier_wait(&both);
  if (write(1, "ready\n", 6) != 6) return 1;
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  return 0;
}
