// SPDX-License-Identifier: Apache-2.0
// Threads that give way only while they hold the mutex, and take it again at once: each must get it all the same, and all go on until
// every one of them has had it five hundred times.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { THREADS = 4, TURNS = 500 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int turns[THREADS];  // guarded by mutex

static int all_have_had_it(void) {
  for (int i = 0; i < THREADS; i++)
    if (turns[i] < TURNS) return 0;
  return 1;
}

static void* take_turns(void* argument) {
  int me = (int)(long)argument, done = 0;
  while (!done) {
    pthread_mutex_lock(&mutex);
    turns[me]++;
    sched_yield();
    done = all_have_had_it();
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, take_turns, (void*)i) == 0) continue;
    printf("gave up: pthread_create()\n");
    return 1;
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("every thread has had the mutex: %d\n", all_have_had_it());
  return 0;
}
