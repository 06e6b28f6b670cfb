// SPDX-License-Identifier: Apache-2.0
// A lost signal: a thread waits on a condition variable without looking whether what it waits for has happened already; it has.
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static sem_t signalled;

static void* waits_too_late(void* argument) {
  while (sem_wait(&signalled) != 0) continue;
  pthread_mutex_lock(&mutex);
  pthread_cond_wait(&done, &mutex);
  pthread_mutex_unlock(&mutex);
  return argument;
}

int main(void) {
  pthread_t thread;
  sem_init(&signalled, 0, 0);
  if (pthread_create(&thread, NULL, waits_too_late, NULL) != 0) return 1;
  pthread_mutex_lock(&mutex);
  pthread_cond_signal(&done);
  pthread_mutex_unlock(&mutex);
  sem_post(&signalled);
  if (write(1, "ready\n", 6) != 6) return 1;
  pthread_join(thread, NULL);
  return 0;
}
