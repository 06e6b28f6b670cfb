// SPDX-License-Identifier: Apache-2.0
// Signal handlers during waits for other threads: which waits they end, and that none of the others returns early or loses
// its wake. A storm of handlers that post a semaphore while their thread is busy with contended locks.
#include "check.h"

#include <linux/futex.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore, counted, progress;
static int word, second_word;
static volatile int handled, signalled;
static int step;

static void count_it(int number) {
  (void)number;
  __atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
  sem_post(&progress);
}

static void reached(int number) {
  __atomic_store_n(&step, number, __ATOMIC_RELEASE);
  sem_post(&progress);
}

static void* waits(void* unused) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 60000), interval = {60, 0};
  MUST(pthread_mutex_lock(&mutex) == 0);
  reached(1);
  // Without a loop on purpose: a wait that a handler ended would show.
  SHOW_ERROR(pthread_cond_wait(&condition, &mutex));
  say("signalled %d", signalled);
  reached(2);
  SHOW_ERROR(pthread_cond_timedwait(&condition, &mutex, &limit));
  say("signalled %d", signalled);
  MUST(pthread_mutex_unlock(&mutex) == 0);
  reached(3);
  SHOW(sem_wait(&semaphore));
  reached(4);
  SHOW(sem_timedwait(&semaphore, &limit));
  reached(5);
  SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL));
  reached(6);
  SHOW(syscall(SYS_futex, &second_word, FUTEX_WAIT_PRIVATE, 0, &interval));
  reached(7);
  SHOW_ERROR(pthread_mutex_lock(&mutex));
  MUST(pthread_mutex_unlock(&mutex) == 0);
  reached(8);
  SHOW_ERROR(pthread_rwlock_wrlock(&rwlock));
  MUST(pthread_rwlock_unlock(&rwlock) == 0);
  reached(9);
  say("barrier: %d", pthread_barrier_wait(&barrier) != 0);
  reached(10);
  return unused;
}

// Waits until the thread is at a step, and a little, so that it waits there.
static void reach(int wanted) {
  while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) < wanted) sem_wait(&progress);
  settle();
}

static void hit(pthread_t thread, int times) {
  for (int i = 0; i < times; i++) {
    int before = handled;
    struct timespec limit = after_ms(CLOCK_REALTIME, 5000);
    MUST(pthread_kill(thread, SIGUSR1) == 0);
    while (handled == before && sem_timedwait(&progress, &limit) == 0) {
    }
    CHECK(handled == before + 1);
  }
}

static void every_wait(int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = count_it;
  action.sa_flags = flags;
  MUST(sigaction(SIGUSR1, &action, NULL) == 0);
  say("-- %s", flags & SA_RESTART ? "restarting" : "ending");
  handled = signalled = step = 0;
  MUST(pthread_rwlock_rdlock(&rwlock) == 0);
  pthread_t thread = start_thread(waits, NULL);
  for (int i = 1; i <= 2; i++) {
    reach(i);
    hit(thread, 3);
    MUST(pthread_mutex_lock(&mutex) == 0);
    signalled = i;
    MUST(pthread_cond_signal(&condition) == 0);
    MUST(pthread_mutex_unlock(&mutex) == 0);
  }
  reach(3);
  hit(thread, 1);
  if (flags & SA_RESTART) sem_post(&semaphore);
  reach(4);
  hit(thread, 1);
  reach(5);
  hit(thread, 1);
  if (flags & SA_RESTART)
    while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) == 5) syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
  reach(6);
  MUST(pthread_mutex_lock(&mutex) == 0);
  hit(thread, 1);
  reach(7);
  hit(thread, 3);
  MUST(pthread_mutex_unlock(&mutex) == 0);
  reach(8);
  hit(thread, 3);
  MUST(pthread_rwlock_unlock(&rwlock) == 0);
  reach(9);
  hit(thread, 3);
  int last = pthread_barrier_wait(&barrier);
  CHECK(last == PTHREAD_BARRIER_SERIAL_THREAD);
  join_thread(thread);
  say("%d handlers", handled);
}

static volatile long posted;
static volatile int stop;

static void post(int number) {
  (void)number;
  posted++;
  sem_post(&counted);
}

static void* takes(void* unused) {
  (void)unused;
  long taken = 0;
  while (!stop) {
    struct timespec limit = after_ms(CLOCK_REALTIME, 2);
    if (sem_timedwait(&counted, &limit) == 0) taken++;
  }
  while (sem_trywait(&counted) == 0) taken++;
  return as_pointer(taken);
}

static void* contends(void* unused) {
  for (long i = 0; !stop; i++) {
    MUST(pthread_mutex_lock(&mutex) == 0);
    if (i % 16 == 0) usleep(1);  // others find it locked
    MUST(pthread_mutex_unlock(&mutex) == 0);
  }
  return unused;
}

static void storm(void) {
  pthread_t taker, others[3];
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = post;
  action.sa_flags = SA_RESTART;
  MUST(sigaction(SIGALRM, &action, NULL) == 0);
  MUST(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0);
  taker = start_thread(takes, NULL);
  for (int i = 0; i < 3; i++) others[i] = start_thread(contends, NULL);
  MUST(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL) == 0);
  struct itimerval each = {{0, 100}, {0, 100}}, none = {{0, 0}, {0, 0}};
  MUST(setitimer(ITIMER_REAL, &each, NULL) == 0);
  while (posted < 3000) {
    MUST(pthread_mutex_lock(&mutex) == 0);
    MUST(pthread_mutex_unlock(&mutex) == 0);
  }
  MUST(setitimer(ITIMER_REAL, &none, NULL) == 0);
  settle();
  stop = 1;
  long taken = as_long(join_thread(taker));
  for (int i = 0; i < 3; i++) join_thread(others[i]);
  CHECK(taken == posted);
}

int main(void) {
  sem_init(&semaphore, 0, 0);
  sem_init(&counted, 0, 0);
  sem_init(&progress, 0, 0);
  pthread_barrier_init(&barrier, NULL, 2);
  every_wait(SA_RESTART);
  every_wait(0);
  storm();
  return finish();
}
