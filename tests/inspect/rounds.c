// SPDX-License-Identifier: Apache-2.0
// For each byte of its input a round of threads, and "done" when they have ended: a wait for a semaphore, one for a pipe, a contended mutex,
// two calls made for real, and a thread that computes until another one has run. Says "ready" first. Between rounds nothing goes on.
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static sem_t posted;
static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int has_run;

static void* waits_for_post(void* argument) {
  while (sem_wait(&posted) != 0) continue;
  atomic_store(&has_run, 1);
  return argument;
}

static void* waits_for_byte(void* argument) {
  char byte;
  if (read(ends[0], &byte, 1) != 1) return NULL;
  return argument;
}

// Others get a worker only if this one's is taken from it, where there is but one.
static void* computes_until_another_has_run(void* argument) {
  pthread_mutex_lock(&mutex);
  sem_post(&posted);
  while (!atomic_load(&has_run)) continue;
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void* wants_mutex(void* argument) {
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void* calls(void* argument) {
  for (int i = 0; i < 2; i++) {
    FILE* null = fopen("/dev/null", "r");
    if (null == NULL || fclose(null) != 0) return NULL;
  }
  return write(ends[1], "b", 1) == 1 ? argument : NULL;
}

int main(void) {
  static void* (*const kRoutines[])(void*) = {waits_for_post, waits_for_byte, computes_until_another_has_run,
                                              wants_mutex, calls};
  enum { kThreads = sizeof kRoutines / sizeof kRoutines[0] };
  char byte;
  if (pipe(ends) != 0 || sem_init(&posted, 0, 0) != 0) return 1;
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, &byte, 1) == 1) {
    pthread_t threads[kThreads];
    atomic_store(&has_run, 0);
    for (int i = 0; i < kThreads; i++)
      if (pthread_create(&threads[i], NULL, kRoutines[i], &posted) != 0) return 1;
    for (int i = 0; i < kThreads; i++) {
      void* result;
      if (pthread_join(threads[i], &result) != 0 || result != &posted) return 1;
    }
    if (write(1, "done\n", 5) != 5) return 1;
  }
  return 0;
}
