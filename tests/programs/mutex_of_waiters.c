// SPDX-License-Identifier: Apache-2.0
// A mutex that threads will take again when they come back from a condition variable is in use: destroying it is EBUSY, until the last
// has come back and gone.
#include "check.h"

#include <semaphore.h>

static pthread_mutex_t mutex;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t waiting;
static int go_on;

static void* wait_for_it(void* unused) {
  MUST(pthread_mutex_lock(&mutex) == 0);
  sem_post(&waiting);
  while (!go_on) pthread_cond_wait(&condition, &mutex);
  MUST(pthread_mutex_unlock(&mutex) == 0);
  return unused;
}

static void try_kind(const char* name, int kind) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, kind);
  MUST(pthread_mutex_init(&mutex, &attributes) == 0);
  go_on = 0;
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) threads[i] = start_thread(wait_for_it, NULL);
  for (int i = 0; i < 3; i++) MUST(sem_wait(&waiting) == 0);
  MUST(pthread_mutex_lock(&mutex) == 0);  // the last has begun to wait
  go_on = 1;
  MUST(pthread_mutex_unlock(&mutex) == 0);
  say("%s:", name);
  SHOW_ERROR(pthread_mutex_destroy(&mutex));
  MUST(pthread_cond_broadcast(&condition) == 0);
  for (int i = 0; i < 3; i++) join_thread(threads[i]);
  SHOW_ERROR(pthread_mutex_destroy(&mutex));
}

int main(void) {
  MUST(sem_init(&waiting, 0, 0) == 0);
  try_kind("normal", PTHREAD_MUTEX_NORMAL);
  try_kind("recursive", PTHREAD_MUTEX_RECURSIVE);
  try_kind("error-checking", PTHREAD_MUTEX_ERRORCHECK);
  try_kind("adaptive", PTHREAD_MUTEX_ADAPTIVE_NP);
  return finish();
}
