// SPDX-License-Identifier: Apache-2.0
// Cancellation of threads that are kernel threads under weft as well: main, one with a scheduling policy of its own, one
// that has changed its kernel thread's state; each while it waits on what coroutines wait on too, and in the kernel. And of
// one in a pthread_once routine, which another then runs.
#include "check.h"

#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t ready, never;
static int idle[2];
static pthread_t endless;

enum { kCondition, kTimedCondition, kSemaphore, kTimedSemaphore, kJoin, kRead, kPoll, kEpoll, kSleep, kCount };
static const char* const names[] = {"pthread_cond_wait",
                                    "pthread_cond_timedwait",
                                    "sem_wait",
                                    "sem_timedwait",
                                    "pthread_join",
                                    "read",
                                    "poll",
                                    "epoll_wait",
                                    "sleep"};

static void unlock(void* unused) {
  (void)unused;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void wait_in(int kind) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 3600000);
  struct pollfd one = {idle[0], POLLIN, 0};
  struct epoll_event event;
  char byte;
  switch (kind) {
    case kCondition:
    case kTimedCondition:
      CHECK(pthread_mutex_lock(&mutex) == 0);
      pthread_cleanup_push(unlock, NULL);
      sem_post(&ready);
      for (;;) {
        if (kind == kCondition)
          pthread_cond_wait(&condition, &mutex);
        else
          pthread_cond_timedwait(&condition, &mutex, &limit);
      }
      pthread_cleanup_pop(1);
      break;
    case kSemaphore:
      sem_post(&ready);
      sem_wait(&never);
      break;
    case kTimedSemaphore:
      sem_post(&ready);
      sem_timedwait(&never, &limit);
      break;
    case kJoin:
      sem_post(&ready);
      pthread_join(endless, NULL);
      break;
    case kRead:
      sem_post(&ready);
      read(idle[0], &byte, 1);
      break;
    case kPoll:
      sem_post(&ready);
      poll(&one, 1, -1);
      break;
    case kEpoll: {
      int fd = epoll_create1(0);
      sem_post(&ready);
      epoll_wait(fd, &event, 1, -1);
      break;
    }
    default:
      sem_post(&ready);
      sleep(3600);
      break;
  }
  say("%s came back", names[kind]);
}

static void* waits(void* argument) {
  wait_in((int)as_long(argument));
  return NULL;
}

static void* waits_with_changed_state(void* argument) {
  CHECK(prctl(PR_SET_TIMERSLACK, 60000, 0, 0, 0) == 0);
  return waits(argument);
}

static void* waits_for_ever(void* unused) {
  while (sem_wait(&never) == 0) {
  }
  return unused;
}

static void cancel_and_show(const char* whose, pthread_t thread, int kind, int settled) {
  while (sem_wait(&ready) != 0) {
  }
  if (settled) {
    struct timespec nap = {0, 10000000};
    nanosleep(&nap, NULL);
  }
  CHECK(pthread_cancel(thread) == 0);
  void* result = NULL;
  CHECK(pthread_join(thread, &result) == 0);
  say("%s in %s: cancelled %d, mutex %s", whose, names[kind], result == PTHREAD_CANCELED,
      name_of_errno(pthread_mutex_trylock(&mutex)));
  pthread_mutex_unlock(&mutex);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int runs;

static void first_is_cancelled(void) {
  if (++runs == 1) {
    sem_post(&ready);
    sleep(3600);
  }
}

static void* initialises(void* unused) {
  CHECK(pthread_once(&once, first_is_cancelled) == 0);
  return unused;
}

static pthread_t main_thread;
static int main_cleaned;

static void main_is_cleaned(void* unused) {
  (void)unused;
  main_cleaned = 1;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void* cancels_main(void* unused) {
  while (sem_wait(&ready) != 0) {
  }
  settle();
  // It waits on the condition variable now, so the mutex is free.
  CHECK(pthread_mutex_lock(&mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  CHECK(pthread_cancel(main_thread) == 0);
  void* result = NULL;
  CHECK(pthread_join(main_thread, &result) == 0);
  say("main: cancelled %d, cleaned %d", result == PTHREAD_CANCELED, main_cleaned);
  finish();
  exit(check_failures != 0);
  return unused;
}

int main(void) {
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  MUST(pipe(idle) == 0);
  pthread_attr_t real_time;
  struct sched_param priority = {1};
  pthread_attr_init(&real_time);
  MUST(pthread_attr_setinheritsched(&real_time, PTHREAD_EXPLICIT_SCHED) == 0);
  MUST(pthread_attr_setschedpolicy(&real_time, SCHED_FIFO) == 0);
  MUST(pthread_attr_setschedparam(&real_time, &priority) == 0);
  endless = start_thread(waits_for_ever, NULL);

  for (int settled = 1; settled >= 0; settled--) {
    for (int kind = 0; kind < kCount; kind++) {
      pthread_t thread;
      MUST(pthread_create(&thread, &real_time, waits, as_pointer(kind)) == 0);
      cancel_and_show("real-time", thread, kind, settled);
    }
    for (int kind = 0; kind < kCount; kind++)
      if (kind != kJoin || settled)
        cancel_and_show("changed", start_thread(waits_with_changed_state, as_pointer(kind)), kind, settled);
  }

  pthread_t first = start_thread(initialises, NULL);
  sem_wait(&ready);
  pthread_t second = start_thread(initialises, NULL);
  settle();
  MUST(pthread_cancel(first) == 0);
  CHECK(join_thread(first) == PTHREAD_CANCELED);
  join_thread(second);
  say("the routine ran %d times", runs);

  main_thread = pthread_self();
  start_thread(cancels_main, NULL);
  CHECK(pthread_mutex_lock(&mutex) == 0);
  pthread_cleanup_push(main_is_cleaned, NULL);
  sem_post(&ready);
  for (;;) pthread_cond_wait(&condition, &mutex);
  pthread_cleanup_pop(0);
}
