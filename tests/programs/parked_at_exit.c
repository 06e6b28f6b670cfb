// SPDX-License-Identifier: Apache-2.0
// main returns while threads wait, each with memory that its stack alone knows. A leak checker finds none of it lost.
#include "check.h"

#include <semaphore.h>

enum { kThreads = 12 };

static sem_t begun, never;
static int pipe_ends[2];

static void* parked(void* reads) {
  char** volatile block = malloc(sizeof *block);
  *block = malloc(100);
  sem_post(&begun);
  if (reads)
    read(pipe_ends[0], *block, 1);
  else
    sem_wait(&never);
  free(*block);
  free(block);
  return NULL;
}

static void* allocates(void* unused) {
  free(malloc(1000));
  return unused;
}

int main(void) {
  sem_init(&begun, 0, 0);
  sem_init(&never, 0, 0);
  MUST(pipe(pipe_ends) == 0);
  for (int i = 0; i < kThreads; i++) in_thread(allocates, NULL);
  for (long i = 0; i < kThreads; i++) MUST(pthread_detach(start_thread(parked, as_pointer(i % 2))) == 0);
  for (int i = 0; i < kThreads; i++) sem_wait(&begun);
  return finish();
}
