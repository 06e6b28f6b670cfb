// SPDX-License-Identifier: Apache-2.0
// Robust and priority-inheriting mutexes: dead owners told, made consistent or not, contended by threads that wait
// holding them.
#include "check.h"

#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pthread_mutex_t robust, inheriting, checking;
static long counter;

static void make(pthread_mutex_t* mutex, int is_robust, int inherits, int type, int shared) {
  pthread_mutexattr_t attribute;
  pthread_mutexattr_init(&attribute);
  if (is_robust) MUST(pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST) == 0);
  if (inherits) MUST(pthread_mutexattr_setprotocol(&attribute, PTHREAD_PRIO_INHERIT) == 0);
  if (shared) MUST(pthread_mutexattr_setpshared(&attribute, PTHREAD_PROCESS_SHARED) == 0);
  MUST(pthread_mutexattr_settype(&attribute, type) == 0);
  MUST(pthread_mutex_init(mutex, &attribute) == 0);
  pthread_mutexattr_destroy(&attribute);
}

static void* dies_holding(void* argument) {
  MUST(pthread_mutex_lock(argument) == 0);
  return NULL;
}

static void* waits_for_dead(void* argument) {
  int error = pthread_mutex_lock(argument);
  if (error == EOWNERDEAD) CHECK(pthread_mutex_consistent(argument) == 0);
  counter++;
  CHECK(pthread_mutex_unlock(argument) == 0);
  return as_pointer(error);
}

static sem_t held, let_go;

static void* holds_then_dies(void* argument) {
  MUST(pthread_mutex_lock(argument) == 0);
  sem_post(&held);
  sem_wait(&let_go);
  return NULL;
}

static void dead_owners(void) {
  in_thread(dies_holding, &robust);
  SHOW_ERROR(pthread_mutex_lock(&robust));
  SHOW_ERROR(pthread_mutex_consistent(&robust));
  SHOW_ERROR(pthread_mutex_unlock(&robust));
  SHOW_ERROR(pthread_mutex_consistent(&robust));
  in_thread(dies_holding, &robust);
  say("a thread finds it: %s", name_of_errno((int)as_long(in_thread(waits_for_dead, &robust))));

  // It dies while others wait.
  pthread_t owner = start_thread(holds_then_dies, &robust), waiters[5];
  sem_wait(&held);
  for (int i = 0; i < 5; i++) waiters[i] = start_thread(waits_for_dead, &robust);
  settle();
  SHOW_ERROR(pthread_mutex_trylock(&robust));
  sem_post(&let_go);
  join_thread(owner);
  int dead = 0;
  for (int i = 0; i < 5; i++) dead += as_long(join_thread(waiters[i])) == EOWNERDEAD;
  say("of five waiters %d saw the death", dead);

  in_thread(dies_holding, &robust);
  SHOW_ERROR(pthread_mutex_lock(&robust));
  SHOW_ERROR(pthread_mutex_unlock(&robust));
  SHOW_ERROR(pthread_mutex_lock(&robust));
  pthread_mutex_destroy(&robust);
}

static void* contends(void* argument) {
  for (int i = 0; i < 100; i++) {
    CHECK(pthread_mutex_lock(argument) == 0);
    long seen = counter;
    if (i % 10 == 0) {
      struct timespec nap = {0, 20000};
      nanosleep(&nap, NULL);
    }
    counter = seen + 1;
    CHECK(pthread_mutex_unlock(argument) == 0);
  }
  return NULL;
}

static void contended(const char* what, pthread_mutex_t* mutex) {
  pthread_t threads[10];
  counter = 0;
  for (int i = 0; i < 10; i++) threads[i] = start_thread(contends, mutex);
  contends(mutex);
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("%s: %ld", what, counter);
}

static void* times_out(void* argument) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 20);
  say("timed: %s", name_of_errno(pthread_mutex_timedlock(argument, &limit)));
  say("try: %s", name_of_errno(pthread_mutex_trylock(argument)));
  return NULL;
}

static void other_process(void) {
  pthread_mutex_t* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  MUST(shared != MAP_FAILED);
  make(shared, 1, 0, PTHREAD_MUTEX_NORMAL, 1);
  pid_t pid = fork();
  if (pid == 0) {
    in_thread(dies_holding, shared);
    _exit(0);
  }
  int status = 1;
  MUST(waitpid(pid, &status, 0) == pid && status == 0);
  say("died in another process: %s", name_of_errno((int)as_long(in_thread(waits_for_dead, shared))));
  munmap(shared, 4096);
}

int main(void) {
  sem_init(&held, 0, 0);
  sem_init(&let_go, 0, 0);
  make(&robust, 1, 0, PTHREAD_MUTEX_NORMAL, 0);
  make(&inheriting, 0, 1, PTHREAD_MUTEX_NORMAL, 0);
  make(&checking, 0, 1, PTHREAD_MUTEX_ERRORCHECK, 0);
  contended("robust", &robust);
  contended("priority inheriting", &inheriting);
  contended("inheriting and checking", &checking);
  SHOW_ERROR(pthread_mutex_lock(&checking));
  SHOW_ERROR(pthread_mutex_lock(&checking));
  in_thread(times_out, &checking);
  SHOW_ERROR(pthread_mutex_unlock(&checking));
  SHOW_ERROR(pthread_mutex_unlock(&checking));
  dead_owners();
  other_process();
  return finish();
}
