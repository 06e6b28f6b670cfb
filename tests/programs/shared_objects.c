// SPDX-License-Identifier: Apache-2.0
// Process-shared mutexes, condition variables, rwlocks and barriers between threads of a process and of its child.
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { kRounds = 100, kThreads = 4 };

static struct shared {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  pthread_rwlock_t rwlock;
  pthread_barrier_t barrier;
  long counter, turn, written, failures;
} * shared;

static void* counts(void* unused) {
  for (int i = 0; i < kRounds; i++) {
    pthread_mutex_lock(&shared->mutex);
    long seen = shared->counter;
    if (i % 20 == 0) sched_yield();
    shared->counter = seen + 1;
    pthread_mutex_unlock(&shared->mutex);
    pthread_rwlock_wrlock(&shared->rwlock);
    shared->written++;
    pthread_rwlock_unlock(&shared->rwlock);
    pthread_rwlock_rdlock(&shared->rwlock);
    if (shared->written < 1) shared->failures++;
    pthread_rwlock_unlock(&shared->rwlock);
  }
  return unused;
}

static void* takes_turns(void* argument) {
  long side = as_long(argument);
  for (int i = 0; i < kRounds; i++) {
    pthread_mutex_lock(&shared->mutex);
    while (shared->turn % 2 != side) pthread_cond_wait(&shared->cond, &shared->mutex);
    shared->turn++;
    pthread_cond_broadcast(&shared->cond);
    pthread_mutex_unlock(&shared->mutex);
  }
  return NULL;
}

static void* meets(void* unused) {
  for (int i = 0; i < 10; i++) pthread_barrier_wait(&shared->barrier);
  return unused;
}

static void one_side(long side) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(counts, NULL);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  in_thread(takes_turns, as_pointer(side));
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(meets, NULL);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
}

int main(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  MUST(shared != MAP_FAILED);
  pthread_mutexattr_t mutex;
  pthread_condattr_t cond;
  pthread_rwlockattr_t rwlock;
  pthread_barrierattr_t barrier;
  pthread_mutexattr_init(&mutex);
  pthread_condattr_init(&cond);
  pthread_rwlockattr_init(&rwlock);
  pthread_barrierattr_init(&barrier);
  MUST(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED) == 0);
  MUST(pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED) == 0);
  MUST(pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED) == 0);
  MUST(pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED) == 0);
  MUST(pthread_mutex_init(&shared->mutex, &mutex) == 0);
  MUST(pthread_cond_init(&shared->cond, &cond) == 0);
  MUST(pthread_rwlock_init(&shared->rwlock, &rwlock) == 0);
  MUST(pthread_barrier_init(&shared->barrier, &barrier, 2 * kThreads) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    one_side(1);
    _exit(check_failures);
  }
  one_side(0);
  int status = 1;
  MUST(waitpid(pid, &status, 0) == pid);
  say("child %d, counter %ld, written %ld, turns %ld, failures %ld", status, shared->counter, shared->written,
      shared->turn, shared->failures);
  SHOW_ERROR(pthread_cond_destroy(&shared->cond));
  SHOW_ERROR(pthread_barrier_destroy(&shared->barrier));
  return finish();
}
