// SPDX-License-Identifier: Apache-2.0
// Three threads join each other in a ring. (Of one and of two pthread_join() says EDEADLK by itself.)
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

enum { kThreads = 3 };

static pthread_t threads[kThreads];
static pthread_barrier_t made;

static void* joins_the_next(void* argument) {
  pthread_barrier_wait(&made);
  pthread_join(threads[((intptr_t)argument + 1) % kThreads], NULL);
  return NULL;
}

int main(void) {
  pthread_barrier_init(&made, NULL, kThreads + 1);
  for (intptr_t i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], NULL, joins_the_next, (void*)i) != 0) return 1;
  pthread_barrier_wait(&made);
  if (write(1, "ready\n", 6) != 6) return 1;
  for (;;) pause();
}
