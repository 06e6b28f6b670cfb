// SPDX-License-Identifier: Apache-2.0
// Waiting for threads: join, try, timed by both clocks, oneself, from threads and main, detached, many, late.
#include "check.h"

#include <semaphore.h>

static sem_t go, ended;

static void* returns(void* argument) { return argument; }

static void* waits(void* argument) {
  sem_wait(&go);
  return argument;
}

static void* joins_itself(void* unused) {
  (void)unused;
  return as_pointer(pthread_join(pthread_self(), NULL));
}

static void* joins(void* argument) {
  void* result = NULL;
  MUST(pthread_join(*(pthread_t*)argument, &result) == 0);
  return as_pointer(as_long(result) + 1);
}

static void* posts_when_ended(void* unused) {
  sem_post(&ended);
  return unused;
}

static void exit_below(long depth) {
  if (depth == 20) pthread_exit(as_pointer(depth));
  if (depth < 20) exit_below(depth + 1);
  say("not reached %ld", depth);
}

static void* exits_deep(void* argument) {
  exit_below(as_long(argument));
  return NULL;
}

static void* makes_children(void* argument) {
  long depth = as_long(argument);
  if (depth == 0) return as_pointer(1);
  pthread_t left = start_thread(makes_children, as_pointer(depth - 1)),
            right = start_thread(makes_children, as_pointer(depth - 1));
  return as_pointer(as_long(join_thread(left)) + as_long(join_thread(right)));
}

static void* all(void* unused) {
  pthread_t thread = start_thread(waits, as_pointer(11));
  void* result = NULL;
  long long start = now_ns(CLOCK_MONOTONIC);
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  SHOW_ERROR(pthread_tryjoin_np(thread, &result));
  SHOW_ERROR(pthread_timedjoin_np(thread, &result, &limit));
  CHECK(ms_since(start) >= 29);
  limit = after_ms(CLOCK_MONOTONIC, 30);
  SHOW_ERROR(pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &limit));
  SHOW_ERROR(pthread_clockjoin_np(thread, &result, CLOCK_PROCESS_CPUTIME_ID, &limit));
  sem_post(&go);
  limit = after_ms(CLOCK_REALTIME, 20000);
  SHOW_ERROR(pthread_timedjoin_np(thread, &result, &limit));
  say("result %ld", as_long(result));

  thread = start_thread(waits, as_pointer(12));
  sem_post(&go);
  limit = after_ms(CLOCK_MONOTONIC, 20000);
  SHOW_ERROR(pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &limit));
  say("result %ld", as_long(result));

  thread = start_thread(returns, as_pointer(13));
  int error;
  while ((error = pthread_tryjoin_np(thread, &result)) == EBUSY) sched_yield();
  say("tried until done: %s %ld", name_of_errno(error), as_long(result));

  say("itself: %s", name_of_errno((int)as_long(in_thread(joins_itself, NULL))));

  thread = start_thread(waits, as_pointer(100));
  pthread_t joiner = start_thread(joins, &thread);
  settle();
  sem_post(&go);
  say("joined by a thread: %ld", as_long(join_thread(joiner)));

  thread = start_thread(returns, NULL);
  SHOW_ERROR(pthread_detach(thread));
  pthread_attr_t attribute;
  pthread_attr_init(&attribute);
  SHOW_ERROR(pthread_attr_setdetachstate(&attribute, PTHREAD_CREATE_DETACHED));
  for (int i = 0; i < 50; i++) MUST(pthread_create(&thread, &attribute, posts_when_ended, NULL) == 0);
  for (int i = 0; i < 50; i++) sem_wait(&ended);
  pthread_attr_destroy(&attribute);
  say("fifty detached");

  thread = start_thread(waits, NULL);
  SHOW_ERROR(pthread_detach(thread));
  SHOW_ERROR(pthread_detach(thread));
  SHOW_ERROR(pthread_join(thread, NULL));
  sem_post(&go);

  say("pthread_exit from a deep frame: %ld", as_long(in_thread(exits_deep, as_pointer(0))));
  say("a tree of threads: %ld", as_long(in_thread(makes_children, as_pointer(6))));
  pthread_t many[200];
  for (long i = 0; i < 200; i++) many[i] = start_thread(returns, as_pointer(i));
  long sum = 0;
  for (int i = 199; i >= 0; i--) sum += as_long(join_thread(many[i]));
  say("joined backwards: %ld", sum);
  for (long i = 0; i < 1000; i++) CHECK(as_long(in_thread(returns, as_pointer(i))) == i);
  say("a thousand in sequence");
  return unused;
}

int main(void) {
  sem_init(&go, 0, 0);
  sem_init(&ended, 0, 0);
  all(NULL);
  in_thread(all, NULL);
  return finish();
}
