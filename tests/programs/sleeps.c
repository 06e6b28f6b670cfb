// SPDX-License-Identifier: Apache-2.0
// Sleeping by every call, from many threads at once: as long as asked, the errors, absolute times, nothing left over.
#include "check.h"

#include <sched.h>
#include <threads.h>

static void at_least(const char* what, long long start, long milliseconds) {
  long took = ms_since(start);
  say("%s: at least %ld ms: %d, below 5 s: %d", what, milliseconds, took >= milliseconds, took < 5000);
}

static void* all(void* unused) {
  struct timespec length = {0, 30000000}, left = {7, 7};
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(nanosleep(&length, &left));
  at_least("nanosleep", start, 30);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(usleep(25000));
  at_least("usleep", start, 25);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW_ERROR(clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL));
  at_least("clock_nanosleep", start, 30);
  start = now_ns(CLOCK_MONOTONIC);
  struct timespec at = after_ms(CLOCK_MONOTONIC, 30);
  SHOW_ERROR(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
  at_least("until", start, 30);
  start = now_ns(CLOCK_MONOTONIC);
  at = after_ms(CLOCK_REALTIME, 30);
  SHOW_ERROR(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
  at_least("until, realtime", start, 29);
  start = now_ns(CLOCK_MONOTONIC);
  at = after_ms(CLOCK_BOOTTIME, 20);
  SHOW_ERROR(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL));
  at_least("until, boottime", start, 19);
  at.tv_sec = 1;
  SHOW_ERROR(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
  SHOW_ERROR(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &length, NULL));
  SHOW_ERROR(clock_nanosleep(9999, 0, &length, NULL));
  length.tv_nsec = 1000000000;
  SHOW(nanosleep(&length, NULL));
  SHOW_ERROR(clock_nanosleep(CLOCK_REALTIME, 0, &length, NULL));
  length.tv_sec = -1;
  length.tv_nsec = 0;
  SHOW(nanosleep(&length, NULL));
  struct timespec* volatile nowhere = NULL;
  SHOW(nanosleep(nowhere, NULL));
  length.tv_sec = 0;
  SHOW(nanosleep(&length, &left));
  SHOW(usleep(0));
  SHOW(sleep(0));
  start = now_ns(CLOCK_MONOTONIC);
  length.tv_nsec = 15000000;
  SHOW(thrd_sleep(&length, NULL));
  at_least("thrd_sleep", start, 15);
  SHOW(sched_yield());
  say("left was not touched: %d", left.tv_sec == 7 && left.tv_nsec == 7);
  return unused;
}

static void* one_second(void* unused) {
  long long start = now_ns(CLOCK_MONOTONIC);
  unsigned left = sleep(1);
  CHECK(ms_since(start) >= 1000);
  (void)unused;
  return as_pointer(left);
}

static void* sleeps_until(void* argument) {
  struct timespec at = *(struct timespec*)argument;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
  }
  return NULL;
}

int main(void) {
  all(NULL);
  in_thread(all, NULL);
  pthread_t threads[100];
  long long start = now_ns(CLOCK_MONOTONIC);
  for (int i = 0; i < 100; i++) threads[i] = start_thread(one_second, NULL);
  long left = 0;
  for (int i = 0; i < 100; i++) left += as_long(join_thread(threads[i]));
  say("a hundred slept a second side by side: left %ld, below 20 s: %d", left, ms_since(start) < 20000);
  struct timespec at[20];
  for (int i = 0; i < 20; i++) {
    at[i] = after_ms(CLOCK_MONOTONIC, (i * 7) % 20);
    threads[i] = start_thread(sleeps_until, &at[i]);
  }
  for (int i = 0; i < 20; i++) join_thread(threads[i]);
  say("twenty times in disorder");
  return finish();
}
