// SPDX-License-Identifier: Apache-2.0
// Threads that wait at known depths with known arguments, for those who look at them from outside.
//
// Writes "ready" once they all wait, then waits for its input to end; then they end too, and it exits with 0. A thread that
// is still on its way there is no matter: the last thing each does before it waits is to count itself.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { kThreads = 6 };

static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t arrived;

__attribute__((noinline)) static int waits_for_input(int depth, const char* label) {
  char byte;
  sem_post(&arrived);
  if (read(ends[0], &byte, 1) != 1) return 1;
  return depth + (label[0] == byte);
}

__attribute__((noinline)) static int waits_for_lock(int depth) {
  sem_post(&arrived);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  return depth;
}

// Not a tail call, whatever the optimiser thinks: each depth is a frame.
__attribute__((noinline)) static int deeper(int depth, int left, const char* label) {
  int below;
  if (left > 0) {
    below = deeper(depth, left - 1, label);
  } else if (depth % 2 == 0) {
    below = waits_for_input(depth, label);
  } else {
    below = waits_for_lock(depth);
  }
  __asm__ volatile("" : "+r"(below));
  return below + 1;
}

static void* begins(void* argument) {
  const int depth = (int)(intptr_t)argument;
  char name[16];
  snprintf(name, sizeof name, "depth-%d", depth);
  pthread_setname_np(pthread_self(), name);
  return (void*)(intptr_t)deeper(depth, depth, name);
}

__attribute__((noinline)) static void let_end(void) {
  pthread_mutex_unlock(&mutex);
  if (write(ends[1], "ddd", 3) != 3) perror("write");
}

int main(void) {
  pthread_t threads[kThreads];
  char byte;
  // Any process of this user may look, as a test does that is not its parent.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (pipe(ends) != 0 || sem_init(&arrived, 0, 0) != 0) return 1;
  pthread_mutex_lock(&mutex);
  for (intptr_t i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], NULL, begins, (void*)i) != 0) return 1;
  for (int i = 0; i < kThreads; i++) sem_wait(&arrived);
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, &byte, 1) > 0) continue;
  let_end();
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
  return 0;
}
