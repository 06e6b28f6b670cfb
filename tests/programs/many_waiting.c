// SPDX-License-Identifier: Apache-2.0
// Two thousand threads wait at once on pipes, locks, semaphores and condition variables, and all come back.
#include "check.h"

#include <semaphore.h>
#include <sys/resource.h>

enum { kThreads = 2000 };

static int pipes[kThreads / 4][2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t semaphore, started;
static int open_gate;
static long through;

static void* waits(void* argument) {
  long index = as_long(argument);
  char byte;
  sem_post(&started);
  switch (index % 4) {
    case 0:
      MUST(read(pipes[index / 4][0], &byte, 1) == 1);
      MUST(byte == (char)(index / 4));
      break;
    case 1:
      pthread_mutex_lock(&mutex);
      pthread_mutex_unlock(&mutex);
      break;
    case 2:
      sem_wait(&semaphore);
      break;
    default:
      pthread_mutex_lock(&gate);
      while (!open_gate) pthread_cond_wait(&cond, &gate);
      pthread_mutex_unlock(&gate);
  }
  __atomic_add_fetch(&through, 1, __ATOMIC_RELAXED);
  return argument;
}

int main(void) {
  static pthread_t threads[kThreads];
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < kThreads) {
    limit.rlim_cur = kThreads;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  sem_init(&semaphore, 0, 0);
  sem_init(&started, 0, 0);
  for (int round = 0; round < 2; round++) {
    pthread_attr_t attribute;
    pthread_attr_init(&attribute);
    MUST(pthread_attr_setstacksize(&attribute, 65536) == 0);
    open_gate = 0;
    through = 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < kThreads / 4; i++) MUST(pipe(pipes[i]) == 0);
    for (long i = 0; i < kThreads; i++) MUST(pthread_create(&threads[i], &attribute, waits, as_pointer(i)) == 0);
    for (int i = 0; i < kThreads; i++) sem_wait(&started);
    settle();
    say("through before: %ld", __atomic_load_n(&through, __ATOMIC_RELAXED));
    for (int i = 0; i < kThreads / 4; i++) {
      char byte = (char)i;
      MUST(write(pipes[i][1], &byte, 1) == 1);
      sem_post(&semaphore);
    }
    pthread_mutex_unlock(&mutex);
    pthread_mutex_lock(&gate);
    open_gate = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&gate);
    long sum = 0;
    for (int i = 0; i < kThreads; i++) sum += as_long(join_thread(threads[i]));
    say("through after: %ld, sum %ld", through, sum);
    for (int i = 0; i < kThreads / 4; i++) {
      close(pipes[i][0]);
      close(pipes[i][1]);
    }
    pthread_attr_destroy(&attribute);
  }
  return finish();
}
