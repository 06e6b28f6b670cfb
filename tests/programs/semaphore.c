// SPDX-License-Identifier: Apache-2.0
// Semaphores: waits, posts from threads, main and a signal handler, timed waits by both clocks, shared and named ones.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static sem_t semaphore, answer;

static void value_of(const char* when) {
  int value = -1;
  sem_getvalue(&semaphore, &value);
  say("%s: value %d", when, value);
}

static void* times(void* unused) {
  struct timespec limit;
  value_of("fresh");
  SHOW(sem_trywait(&semaphore));
  long long start = now_ns(CLOCK_MONOTONIC);
  limit = after_ms(CLOCK_REALTIME, 40);
  SHOW(sem_timedwait(&semaphore, &limit));
  CHECK(ms_since(start) >= 39);
  start = now_ns(CLOCK_MONOTONIC);
  limit = after_ms(CLOCK_MONOTONIC, 40);
  SHOW(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &limit));
  CHECK(ms_since(start) >= 40);
  limit.tv_nsec = 1000000000L;
  SHOW(sem_timedwait(&semaphore, &limit));
  SHOW(sem_clockwait(&semaphore, CLOCK_PROCESS_CPUTIME_ID, &limit));
  SHOW(sem_post(&semaphore));
  SHOW(sem_post(&semaphore));
  value_of("posted twice");
  // A bad time is told even where nothing has to be waited for.
  SHOW(sem_timedwait(&semaphore, &limit));
  SHOW(sem_wait(&semaphore));
  SHOW(sem_wait(&semaphore));
  value_of("taken twice");
  return unused;
}

static void* wait_and_answer(void* unused) {
  for (int i = 0; i < 200; i++) {
    MUST(sem_wait(&semaphore) == 0);
    MUST(sem_post(&answer) == 0);
  }
  return unused;
}

static void ping_pong(void) {
  pthread_t threads[5];
  for (int i = 0; i < 5; i++) threads[i] = start_thread(wait_and_answer, NULL);
  for (int i = 0; i < 1000; i++) {
    sem_post(&semaphore);
    if (i % 3 == 0) sem_wait(&answer);
  }
  for (int i = 0; i < 5; i++) join_thread(threads[i]);
  int left = 0;
  sem_getvalue(&answer, &left);
  say("answers left %d", left);
  while (sem_trywait(&answer) == 0) {
  }
}

static void* timed_waiter(void* unused) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 10000);
  CHECK(sem_timedwait(&semaphore, &limit) == 0);
  limit = after_ms(CLOCK_MONOTONIC, 10000);
  CHECK(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &limit) == 0);
  return unused;
}

static void post_in_handler(int signal_number) {
  (void)signal_number;
  int saved = errno;
  sem_post(&semaphore);
  errno = saved;
}

static void shared(void) {
  sem_t* common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  MUST(common != MAP_FAILED);
  sem_init(&common[0], 1, 0);
  sem_init(&common[1], 1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 50; i++) {
      sem_wait(&common[0]);
      sem_post(&common[1]);
    }
    _exit(0);
  }
  for (int i = 0; i < 50; i++) {
    sem_post(&common[0]);
    sem_wait(&common[1]);
  }
  int status = 1;
  MUST(waitpid(pid, &status, 0) == pid);
  say("shared: child %d", status);
  munmap(common, 4096);
}

static void* shared_in_thread(void* unused) {
  shared();
  return unused;
}

static void named(void) {
  char name[64];
  snprintf(name, sizeof name, "/weft-test-%d", (int)getpid());
  sem_t* one = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
  if (one == SEM_FAILED) {
    say("named: taken");
    return;
  }
  sem_unlink(name);
  CHECK(sem_wait(one) == 0);
  CHECK(sem_trywait(one) == -1 && errno == EAGAIN);
  CHECK(sem_post(one) == 0);
  CHECK(sem_close(one) == 0);
  say("named: taken");
}

int main(void) {
  sem_init(&semaphore, 0, 0);
  sem_init(&answer, 0, 0);
  times(NULL);
  in_thread(times, NULL);
  ping_pong();
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) threads[i] = start_thread(timed_waiter, NULL);
  settle();
  for (int i = 0; i < 20; i++) sem_post(&semaphore);
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  value_of("after timed waiters");
  signal(SIGUSR1, post_in_handler);
  pthread_t thread = start_thread(timed_waiter, NULL);
  settle();
  raise(SIGUSR1);
  raise(SIGUSR1);
  join_thread(thread);
  value_of("after a handler's posts");
  shared();
  in_thread(shared_in_thread, NULL);
  named();
  return finish();
}
