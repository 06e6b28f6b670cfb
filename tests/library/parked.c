// SPDX-License-Identifier: Apache-2.0
// Fifty threads that wait, ten in each of five ways, while main marks a span of time by two calls that a trace shows.
//
// Arguments: milliseconds before the span, in which everything settles, and milliseconds of the span itself.
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { kThreads = 50 };

static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static int open_gate;
static struct timespec length;

static void* waits(void* argument) {
  char byte;
  switch ((intptr_t)argument % 5) {
    case 0:
      if (read(ends[0], &byte, 1) != 1) abort();
      break;
    case 1:
      pthread_mutex_lock(&mutex);
      pthread_mutex_unlock(&mutex);
      break;
    case 2:
      pthread_mutex_lock(&gate);
      while (!open_gate) pthread_cond_wait(&cond, &gate);
      pthread_mutex_unlock(&gate);
      break;
    case 3:
      sem_wait(&semaphore);
      break;
    default:
      nanosleep(&length, NULL);
  }
  return NULL;
}

static struct timespec from_ms(long milliseconds) {
  struct timespec result = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  return result;
}

int main(int argc, char** argv) {
  pthread_t threads[kThreads];
  if (argc != 3) return 2;
  struct timespec settling = from_ms(atol(argv[1])), span = from_ms(atol(argv[2]));
  length = from_ms(atol(argv[1]) + atol(argv[2]) + 500);
  if (pipe(ends) != 0) return 1;
  sem_init(&semaphore, 0, 0);
  pthread_mutex_lock(&mutex);
  for (intptr_t i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], NULL, waits, (void*)i) != 0) return 1;
  nanosleep(&settling, NULL);
  access("span-begins", F_OK);
  nanosleep(&span, NULL);
  access("span-ends", F_OK);
  pthread_mutex_unlock(&mutex);
  pthread_mutex_lock(&gate);
  open_gate = 1;
  pthread_cond_broadcast(&cond);
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < kThreads / 5; i++)
    if (sem_post(&semaphore) != 0 || write(ends[1], "x", 1) != 1) return 1;
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
  return 0;
}
