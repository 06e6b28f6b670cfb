// SPDX-License-Identifier: Apache-2.0
// Mutexes of every kind: what each call returns to the owner and to others, timed locks, and relocking.
#include "check.h"

#include <semaphore.h>

static pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static sem_t held, let_go;

struct subject {
  const char* name;
  pthread_mutex_t* mutex;
};

static void* holder(void* argument) {
  pthread_mutex_t* mutex = argument;
  CHECK(pthread_mutex_lock(mutex) == 0);
  sem_post(&held);
  sem_wait(&let_go);
  CHECK(pthread_mutex_unlock(mutex) == 0);
  return NULL;
}

static void* others(void* argument) {
  struct subject* subject = argument;
  pthread_mutex_t* mutex = subject->mutex;
  say("-- %s, held by another", subject->name);
  SHOW_ERROR(pthread_mutex_trylock(mutex));
  long long start = now_ns(CLOCK_MONOTONIC);
  struct timespec limit = after_ms(CLOCK_REALTIME, 40);
  SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
  CHECK(ms_since(start) >= 39);
  limit = after_ms(CLOCK_MONOTONIC, 30);
  SHOW_ERROR(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &limit));
  limit = after_ms(CLOCK_REALTIME, 30);
  SHOW_ERROR(pthread_mutex_clocklock(mutex, CLOCK_REALTIME, &limit));
  SHOW_ERROR(pthread_mutex_clocklock(mutex, CLOCK_PROCESS_CPUTIME_ID, &limit));
  limit.tv_nsec = 1000000000L;
  SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
  limit.tv_sec = 0;
  limit.tv_nsec = 0;
  SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
  limit.tv_sec = -1;
  SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
  if (mutex == &checking || mutex == &recursive) SHOW_ERROR(pthread_mutex_unlock(mutex));
  return NULL;
}

static void* owner(void* argument) {
  struct subject* subject = argument;
  pthread_mutex_t* mutex = subject->mutex;
  say("-- %s, owner", subject->name);
  if (mutex == &checking || mutex == &recursive) SHOW_ERROR(pthread_mutex_unlock(mutex));
  SHOW_ERROR(pthread_mutex_lock(mutex));
  SHOW_ERROR(pthread_mutex_trylock(mutex));
  if (mutex == &checking || mutex == &recursive) {
    struct timespec limit = after_ms(CLOCK_REALTIME, 40);
    SHOW_ERROR(pthread_mutex_lock(mutex));
    SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
    SHOW_ERROR(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &limit));
  }
  if (mutex == &recursive) {
    for (int i = 0; i < 4; i++) SHOW_ERROR(pthread_mutex_unlock(mutex));
  }
  SHOW_ERROR(pthread_mutex_unlock(mutex));
  struct timespec limit = {0, 0};
  SHOW_ERROR(pthread_mutex_timedlock(mutex, &limit));
  SHOW_ERROR(pthread_mutex_unlock(mutex));
  return NULL;
}

static void* relock(void* argument) {
  pthread_mutex_t* mutex = argument;
  struct timespec limit = after_ms(CLOCK_REALTIME, 50);
  MUST(pthread_mutex_lock(mutex) == 0);
  // A normal mutex makes its owner wait like anybody else.
  say("normal, timed relock: %s", name_of_errno(pthread_mutex_timedlock(mutex, &limit)));
  MUST(pthread_mutex_unlock(mutex) == 0);
  return NULL;
}

static void attributes(void) {
  int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_DEFAULT};
  for (int i = 0; i < 4; i++) {
    pthread_mutexattr_t attribute;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&attribute);
    MUST(pthread_mutexattr_settype(&attribute, types[i]) == 0);
    MUST(pthread_mutex_init(&mutex, &attribute) == 0);
    pthread_mutexattr_destroy(&attribute);
    pthread_mutex_lock(&mutex);
    say("type %d, trylock by the owner: %s", types[i], name_of_errno(pthread_mutex_trylock(&mutex)));
    pthread_mutex_unlock(&mutex);
  }
}

static void* everything(void* unused) {
  struct subject subjects[] = {
      {"normal", &normal}, {"recursive", &recursive}, {"error checking", &checking}, {"adaptive", &adaptive}};
  for (int i = 0; i < 4; i++) {
    pthread_t thread = start_thread(holder, subjects[i].mutex);
    sem_wait(&held);
    in_thread(others, &subjects[i]);
    others(&subjects[i]);
    sem_post(&let_go);
    join_thread(thread);
    in_thread(owner, &subjects[i]);
  }
  in_thread(relock, &normal);
  attributes();
  return unused;
}

int main(void) {
  sem_init(&held, 0, 0);
  sem_init(&let_go, 0, 0);
  everything(NULL);
  say("==== the same from a thread");
  in_thread(everything, NULL);
  return finish();
}
