// SPDX-License-Identifier: Apache-2.0
// Cancellation of a thread that is in a call of libc's which no preloaded library sees: waiting there, before it comes to wait, and at
// any moment on its way there. Those that are in such a call meanwhile are not cancelled, nor one that has cancellation disabled. And
// an asynchronous one of a thread that waits for a lock, which POSIX leaves undefined and glibc acts on. The cleanup handlers make
// cancellation points of their own, and are not left at them.
#include "check.h"

#include <aio.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static int idle[2];
static sem_t ready;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t written = PTHREAD_RWLOCK_INITIALIZER;

static void cleanup(void* what) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
  pthread_testcancel();
  say("cleanup of %s", (const char*)what);
}

static void* suspend(void* waits) {
  static char byte[2];
  struct aiocb request = {
      .aio_fildes = idle[0], .aio_buf = byte, .aio_nbytes = 1, .aio_sigevent.sigev_notify = SIGEV_NONE};
  const struct aiocb* list[] = {&request};
  pthread_cleanup_push(cleanup, "aio_suspend");
  MUST(aio_read(&request) == 0);
  if (!waits) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    sem_post(&ready);
    settle();
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  } else {
    sem_post(&ready);
  }
  aio_suspend(list, 1, NULL);
  pthread_cleanup_pop(0);
  return NULL;
}

static int stop;
static unsigned turns;

static void spin(unsigned rounds) {
  for (volatile unsigned i = 0; i < rounds; i++) {
  }
}

static void* reads_at_once(void* unused) {
  char byte;
  struct iovec part = {&byte, 1};
  sem_post(&ready);
  preadv2(idle[0], &part, 1, -1, 0);
  return unused;
}

// Waits over and over, for a short time. Who has cancellation disabled comes to no cancellation point before.
static void* looks_on(void* disabled) {
  struct itimerspec often = {{0, 100000}, {0, 100000}};
  uint64_t times;
  struct iovec part = {&times, sizeof times};
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  MUST(timer >= 0 && timerfd_settime(timer, 0, &often, NULL) == 0);
  if (disabled) pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    sched_yield();
    CHECK(preadv2(timer, &part, 1, -1, 0) == sizeof times);
  }
  close(timer);
  return as_pointer(1);
}

// Who shares its kernel thread with others, as a coroutine does, gives way to them at about the time of the cancellation.
static void* gives_way(void* unused) {
  for (;;) {
    unsigned turn = __atomic_add_fetch(&turns, 1, __ATOMIC_RELEASE);
    spin(turn * 37 % 4000);
    sched_yield();
    pthread_testcancel();
  }
  return unused;
}

static void at_any_moment(void) {
  for (unsigned i = 0; i < 200; i++) {
    pthread_t thread = start_thread(reads_at_once, NULL);
    MUST(sem_wait(&ready) == 0);
    spin(i * 50);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(join_thread(thread) == PTHREAD_CANCELED);
  }
}

static void beside_others(void) {
  enum { kOthers = 4 };
  pthread_t others[kOthers];
  for (long i = 0; i < kOthers; i++) others[i] = start_thread(looks_on, as_pointer(i == 0));
  CHECK(pthread_cancel(others[0]) == 0);
  // As often as there is time for: with every decision of a scheduler drawn, that is a few times.
  long long begin = now_ns(CLOCK_MONOTONIC);
  for (unsigned i = 0; i < 500 && ms_since(begin) < 3000; i++) {
    unsigned seen = __atomic_load_n(&turns, __ATOMIC_ACQUIRE);
    pthread_t thread = start_thread(gives_way, NULL);
    while (__atomic_load_n(&turns, __ATOMIC_ACQUIRE) - seen <= i % 7) sched_yield();
    CHECK(pthread_cancel(thread) == 0);
    CHECK(join_thread(thread) == PTHREAD_CANCELED);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < kOthers; i++) CHECK(join_thread(others[i]) == as_pointer(1));
}

static void* lock(void* which) {
  pthread_cleanup_push(cleanup, (char*)which);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  sem_post(&ready);
  if (strcmp(which, "mutex") == 0)
    pthread_mutex_lock(&held);
  else
    pthread_rwlock_rdlock(&written);
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel_one(thread_start start, void* argument, int at_rest) {
  pthread_t thread = start_thread(start, argument);
  MUST(sem_wait(&ready) == 0);
  if (at_rest) settle();
  CHECK(pthread_cancel(thread) == 0);
  CHECK(join_thread(thread) == PTHREAD_CANCELED);
}

int main(void) {
  MUST(pipe(idle) == 0 && sem_init(&ready, 0, 0) == 0);
  cancel_one(suspend, "waits", 1);
  // The request that the first one left is still there: both read the same pipe.
  cancel_one(suspend, NULL, 0);
  at_any_moment();
  beside_others();
  MUST(pthread_mutex_lock(&held) == 0 && pthread_rwlock_wrlock(&written) == 0);
  for (int at_rest = 0; at_rest < 2; at_rest++) {
    cancel_one(lock, "mutex", at_rest);
    cancel_one(lock, "rwlock", at_rest);
  }
  return finish();
}
