// SPDX-License-Identifier: Apache-2.0
// Threads are stopped by a signal whose handler waits for another signal, as runtimes do it that collect garbage: all
// stand still then, and one that waits in its handler keeps no other from being stopped.
#include "check.h"

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

enum { kThreads = 12, kRounds = 40 };

static sem_t stopped, resumed;
static atomic_int world;  // odd: it stands still
static atomic_int ended;
static atomic_long steps[kThreads];

static void on_stop(int number) {
  (void)number;
  int error = errno, round = atomic_load(&world);
  sigset_t all_but_resume;
  sigfillset(&all_but_resume);
  sigdelset(&all_but_resume, SIGUSR2);
  sem_post(&stopped);
  while (atomic_load(&world) == round) sigsuspend(&all_but_resume);
  sem_post(&resumed);
  errno = error;
}

static void on_resume(int number) { (void)number; }

static void* mutator(void* own) {
  while (!atomic_load(&ended)) {
    atomic_fetch_add((atomic_long*)own, 1);
    sched_yield();
  }
  return NULL;
}

static void await_all(sem_t* one) {
  for (int i = 0; i < kThreads; i++)
    while (sem_wait(one)) {
    }
}

static long all_steps(void) {
  long sum = 0;
  for (int i = 0; i < kThreads; i++) sum += atomic_load(&steps[i]);
  return sum;
}

static void install(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigfillset(&action.sa_mask);
  MUST(sigaction(number, &action, NULL) == 0);
}

int main(void) {
  install(SIGUSR1, on_stop);
  install(SIGUSR2, on_resume);
  MUST(sem_init(&stopped, 0, 0) == 0 && sem_init(&resumed, 0, 0) == 0);
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) MUST(pthread_create(&threads[i], NULL, mutator, &steps[i]) == 0);

  int moved = 0;
  for (int round = 0; round < kRounds; round++) {
    atomic_fetch_add(&world, 1);
    for (int i = 0; i < kThreads; i++) MUST(pthread_kill(threads[i], SIGUSR1) == 0);
    await_all(&stopped);
    long before = all_steps();
    for (int i = 0; i < 1000; i++) moved += all_steps() != before;
    atomic_fetch_add(&world, 1);
    for (int i = 0; i < kThreads; i++) MUST(pthread_kill(threads[i], SIGUSR2) == 0);
    await_all(&resumed);
  }
  atomic_store(&ended, 1);
  for (int i = 0; i < kThreads; i++) MUST(pthread_join(threads[i], NULL) == 0);
  say("moved while the world stood still: %d of %d rounds", moved, kRounds);
  return check_failures != 0;
}
