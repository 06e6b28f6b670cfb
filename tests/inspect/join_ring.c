// SPDX-License-Identifier: Apache-2.0
// So many threads as the argument says, by default three, join each other in a ring. Says "ready" when they begin. Of one pthread_join()
// says EDEADLK by itself, which is printed; of two it does no more than of three.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kMost = 3 };

static int count = kMost;
static pthread_t threads[kMost];
static pthread_barrier_t made;
static sem_t said;

static void* joins_the_next(void* argument) {
  pthread_barrier_wait(&made);
  const int error = pthread_join(threads[((intptr_t)argument + 1) % count], NULL);
  while (sem_wait(&said) != 0) continue;
  dprintf(1, "%s\n", error == 0 ? "joined" : strerrorname_np(error));
  exit(0);
}

int main(int argc, char** argv) {
  if (argc > 1) count = atoi(argv[1]);
  if (count < 1 || count > kMost) return 2;
  pthread_barrier_init(&made, NULL, (unsigned)count + 1);
  sem_init(&said, 0, 0);
  for (intptr_t i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, joins_the_next, (void*)i) != 0) return 1;
  pthread_barrier_wait(&made);
  if (write(1, "ready\n", 6) != 6) return 1;
  sem_post(&said);
  for (;;) pause();
}
