// SPDX-License-Identifier: Apache-2.0
// Barriers, spin locks whose owner waits, and once-only initialisation that others race for and that waits itself.
#include "check.h"

#include <semaphore.h>

enum { kThreads = 16, kRounds = 100 };

static pthread_barrier_t barrier;
static int arrived[kRounds];
static int serial_threads, early;

static void* rounds(void* unused) {
  for (int i = 0; i < kRounds; i++) {
    __atomic_add_fetch(&arrived[i], 1, __ATOMIC_RELAXED);
    int result = pthread_barrier_wait(&barrier);
    CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
    if (result == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_add_fetch(&serial_threads, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&arrived[i], __ATOMIC_RELAXED) != kThreads) __atomic_add_fetch(&early, 1, __ATOMIC_RELAXED);
  }
  return unused;
}

static void barriers(void) {
  pthread_t threads[kThreads];
  MUST(pthread_barrier_init(&barrier, NULL, kThreads) == 0);
  for (int i = 1; i < kThreads; i++) threads[i] = start_thread(rounds, NULL);
  rounds(NULL);
  for (int i = 1; i < kThreads; i++) join_thread(threads[i]);
  say("barrier: %d serial threads, %d too early", serial_threads, early);
  SHOW_ERROR(pthread_barrier_destroy(&barrier));
  SHOW_ERROR(pthread_barrier_init(&barrier, NULL, 0));
  SHOW_ERROR(pthread_barrier_init(&barrier, NULL, 1));
  SHOW(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
  SHOW_ERROR(pthread_barrier_destroy(&barrier));
}

// Destroyed and freed by whoever is the serial thread, as soon as it is out.
static void* leave_and_destroy(void* argument) {
  pthread_barrier_t* own = argument;
  if (pthread_barrier_wait(own) == PTHREAD_BARRIER_SERIAL_THREAD) {
    CHECK(pthread_barrier_destroy(own) == 0);
    memset(own, 0xff, sizeof *own);
    free(own);
  }
  return NULL;
}

static void barriers_destroyed(void) {
  for (int round = 0; round < 30; round++) {
    pthread_barrier_t* own = malloc(sizeof *own);
    pthread_t threads[5];
    pthread_barrier_init(own, NULL, 5);
    for (int i = 0; i < 5; i++) threads[i] = start_thread(leave_and_destroy, own);
    for (int i = 0; i < 5; i++) join_thread(threads[i]);
  }
  say("barriers destroyed by the serial thread");
}

static pthread_spinlock_t spin;
static long counter;

static void* spinner(void* unused) {
  for (int i = 0; i < 200; i++) {
    pthread_spin_lock(&spin);
    long seen = counter;
    // The owner waits while others spin.
    if (i % 50 == 0) {
      struct timespec nap = {0, 100000};
      nanosleep(&nap, NULL);
    }
    counter = seen + 1;
    pthread_spin_unlock(&spin);
  }
  return unused;
}

static void spins(void) {
  pthread_t threads[8];
  pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
  for (int i = 0; i < 8; i++) threads[i] = start_thread(spinner, NULL);
  for (int i = 0; i < 8; i++) join_thread(threads[i]);
  say("spin: %ld", counter);
  SHOW_ERROR(pthread_spin_lock(&spin));
  SHOW_ERROR(pthread_spin_trylock(&spin));
  SHOW_ERROR(pthread_spin_unlock(&spin));
  SHOW_ERROR(pthread_spin_trylock(&spin));
  SHOW_ERROR(pthread_spin_unlock(&spin));
  SHOW_ERROR(pthread_spin_destroy(&spin));
}

static pthread_once_t once = PTHREAD_ONCE_INIT, slow_once = PTHREAD_ONCE_INIT, inner_once = PTHREAD_ONCE_INIT;
static int runs, slow_runs, inner_runs;
static sem_t in_initialiser, go_on;

static void initialise(void) { runs++; }
static void initialise_inner(void) { inner_runs++; }
static void initialise_slowly(void) {
  sem_post(&in_initialiser);
  sem_wait(&go_on);
  pthread_once(&inner_once, initialise_inner);
  slow_runs++;
}

static void* race(void* unused) {
  CHECK(pthread_once(&once, initialise) == 0);
  CHECK(runs == 1);
  return unused;
}

static void* wait_for_initialiser(void* unused) {
  CHECK(pthread_once(&slow_once, initialise_slowly) == 0);
  CHECK(slow_runs == 1 && inner_runs == 1);
  return unused;
}

static void onces(void) {
  pthread_t threads[20];
  for (int i = 0; i < 20; i++) threads[i] = start_thread(race, NULL);
  race(NULL);
  for (int i = 0; i < 20; i++) join_thread(threads[i]);
  sem_init(&in_initialiser, 0, 0);
  sem_init(&go_on, 0, 0);
  for (int i = 0; i < 10; i++) threads[i] = start_thread(wait_for_initialiser, NULL);
  sem_wait(&in_initialiser);
  settle();
  sem_post(&go_on);
  wait_for_initialiser(NULL);
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("once: %d %d %d", runs, slow_runs, inner_runs);
}

int main(void) {
  barriers();
  barriers_destroyed();
  spins();
  onces();
  return finish();
}
