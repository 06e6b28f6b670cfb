// SPDX-License-Identifier: Apache-2.0
// A library loaded with RTLD_DEEPBIND finds libc's functions before everybody else's. What it unlocks and signals wakes the threads
// that wait all the same.
#include "check.h"

#include <dlfcn.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t about_to_wait;
static int told;

static void* waits_for_mutex(void* unused) {
  sem_post(&about_to_wait);
  pthread_mutex_lock(&mutex);
  say("the mutex is mine");
  pthread_mutex_unlock(&mutex);
  return unused;
}

static void* waits_for_condition(void* unused) {
  pthread_mutex_lock(&mutex);
  sem_post(&about_to_wait);
  while (!told) pthread_cond_wait(&condition, &mutex);
  say("I was told");
  pthread_mutex_unlock(&mutex);
  return unused;
}

int main(int count, char** arguments) {
  MUST(count == 2);
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  MUST(library != NULL);
  void (*unlock_for)(pthread_mutex_t*) = (void (*)(pthread_mutex_t*))dlsym(library, "unlock_for");
  void (*signal_for)(pthread_cond_t*) = (void (*)(pthread_cond_t*))dlsym(library, "signal_for");
  MUST(unlock_for != NULL && signal_for != NULL);
  sem_init(&about_to_wait, 0, 0);
  for (int round = 0; round < 3; round++) {
    pthread_mutex_lock(&mutex);
    pthread_t thread = start_thread(waits_for_mutex, NULL);
    sem_wait(&about_to_wait);
    settle();
    unlock_for(&mutex);
    join_thread(thread);

    told = 0;
    thread = start_thread(waits_for_condition, NULL);
    sem_wait(&about_to_wait);
    pthread_mutex_lock(&mutex);
    told = 1;
    signal_for(&condition);
    pthread_mutex_unlock(&mutex);
    join_thread(thread);
  }
  return finish();
}
