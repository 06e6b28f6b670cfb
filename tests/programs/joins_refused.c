// SPDX-License-Identifier: Apache-2.0
// Joins that cannot be: of oneself, of each other, of what is detached; with a cancellation pending and without. And joins that are
// cancelled while they wait, after which the thread is as joinable as before.
#include "check.h"

#include <semaphore.h>

static sem_t go, told;
static pthread_t first, second, main_thread;

static void pend_cancellation(int state) {
  MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
  MUST(pthread_cancel(pthread_self()) == 0);
  MUST(pthread_setcancelstate(state, NULL) == 0);
}

static const char* name_of_result(const void* result) {
  static __thread char text[32];
  snprintf(text, sizeof text, "%ld", as_long(result));
  return result == PTHREAD_CANCELED ? "cancelled" : text;
}

// ---- of oneself

static void* joins_itself(void* unused) {
  struct timespec past = {1, 0}, limit = after_ms(CLOCK_REALTIME, 20000);
  SHOW_ERROR(pthread_join(pthread_self(), NULL));
  SHOW_ERROR(pthread_tryjoin_np(pthread_self(), NULL));
  SHOW_ERROR(pthread_timedjoin_np(pthread_self(), NULL, &past));
  SHOW_ERROR(pthread_timedjoin_np(pthread_self(), NULL, &limit));
  SHOW_ERROR(pthread_clockjoin_np(pthread_self(), NULL, CLOCK_MONOTONIC, &limit));
  pend_cancellation(PTHREAD_CANCEL_DISABLE);
  SHOW_ERROR(pthread_join(pthread_self(), NULL));
  return unused;
}

static void* joins_itself_cancelled(void* unused) {
  pend_cancellation(PTHREAD_CANCEL_ENABLE);
  CHECK(pthread_tryjoin_np(pthread_self(), NULL) == EBUSY);
  pthread_join(pthread_self(), NULL);
  say("not reached");
  return unused;
}

static void* joins_itself_detached(void* unused) {
  SHOW_ERROR(pthread_detach(pthread_self()));
  SHOW_ERROR(pthread_join(pthread_self(), NULL));
  SHOW_ERROR(pthread_tryjoin_np(pthread_self(), NULL));
  sem_post(&told);
  return unused;
}

static void oneself(void) {
  say("itself: %s", name_of_result(in_thread(joins_itself, NULL)));
  say("itself, cancelled: %s", name_of_result(in_thread(joins_itself_cancelled, NULL)));
  start_thread(joins_itself_detached, NULL);
  sem_wait(&told);
  SHOW_ERROR(pthread_join(pthread_self(), NULL));
}

// ---- of each other: what glibc 2.36 does not notice, so that only a cancellation ends it

static void* joins_second(void* unused) {
  void* result = NULL;
  (void)unused;
  sem_wait(&go);
  int error = pthread_join(second, &result);
  say("first joined second: %s %s", name_of_errno(error), name_of_result(result));
  sem_post(&told);
  return as_pointer(41);
}

static void* joins_first(void* unused) {
  sem_wait(&go);
  pthread_join(first, NULL);
  say("not reached");
  return unused;
}

static void each_other(void) {
  first = start_thread(joins_second, NULL);
  second = start_thread(joins_first, NULL);
  sem_post(&go);
  sem_post(&go);
  settle();
  SHOW_ERROR(pthread_tryjoin_np(first, NULL));
  MUST(pthread_cancel(second) == 0);
  sem_wait(&told);  // two at once must not join one thread
  say("first: %s", name_of_result(join_thread(first)));
}

static void* joins_main(void* unused) {
  sem_post(&told);
  pthread_join(main_thread, NULL);
  say("not reached");
  return unused;
}

static void* cancels(void* thread) {
  sem_wait(&told);
  settle();
  MUST(pthread_cancel(*(pthread_t*)thread) == 0);
  return NULL;
}

static void with_main(void) {
  struct timespec past = {1, 0};
  pthread_t thread = start_thread(joins_main, NULL);
  SHOW_ERROR(pthread_timedjoin_np(thread, NULL, &past));
  pthread_t other = start_thread(cancels, &thread);
  say("main joined it: %s", name_of_result(join_thread(thread)));
  join_thread(other);
}

// ---- cancelled while it waits, and what is not to be joined

static void* waits(void* argument) {
  sem_wait(&go);
  return argument;
}

static void* joins(void* thread) {
  sem_post(&told);
  pthread_join(*(pthread_t*)thread, NULL);
  say("not reached");
  return NULL;
}

static void* joins_for_long(void* thread) {
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 600000);
  sem_post(&told);
  pthread_clockjoin_np(*(pthread_t*)thread, NULL, CLOCK_MONOTONIC, &limit);
  say("not reached");
  return NULL;
}

static void* joins_what_is_detached(void* thread) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 600000);
  pend_cancellation(PTHREAD_CANCEL_ENABLE);
  int tried = pthread_tryjoin_np(*(pthread_t*)thread, NULL);
  int joined = pthread_join(*(pthread_t*)thread, NULL);
  int timed = pthread_timedjoin_np(*(pthread_t*)thread, NULL, &limit);
  MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
  say("tried %s, joined %s, timed %s", name_of_errno(tried), name_of_errno(joined), name_of_errno(timed));
  MUST(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL) == 0);
  pthread_testcancel();
  return NULL;
}

static void cancelled_joins(void) {
  struct timespec past = {1, 0};
  pthread_t thread = start_thread(waits, as_pointer(7));
  for (int i = 0; i < 20; i++) {
    pthread_t joiner = start_thread(i % 2 ? joins_for_long : joins, &thread);
    sem_wait(&told);
    if (i < 4) settle();
    if (i < 4) CHECK(pthread_tryjoin_np(thread, NULL) == EBUSY);
    MUST(pthread_cancel(joiner) == 0);
    CHECK(join_thread(joiner) == PTHREAD_CANCELED);
    CHECK(pthread_tryjoin_np(thread, NULL) == EBUSY);
    CHECK(pthread_timedjoin_np(thread, NULL, &past) == ETIMEDOUT);
  }
  sem_post(&go);
  say("joined at last: %s", name_of_result(join_thread(thread)));

  thread = start_thread(waits, as_pointer(8));
  MUST(pthread_detach(thread) == 0);
  say("of a detached one: %s", name_of_result(in_thread(joins_what_is_detached, &thread)));
  SHOW_ERROR(pthread_join(thread, NULL));
  SHOW_ERROR(pthread_timedjoin_np(thread, NULL, &past));
  SHOW_ERROR(pthread_tryjoin_np(thread, NULL));
  SHOW_ERROR(pthread_detach(thread));
  sem_post(&go);
}

int main(void) {
  sem_init(&go, 0, 0);
  sem_init(&told, 0, 0);
  main_thread = pthread_self();
  oneself();
  each_other();
  with_main();
  cancelled_joins();
  return finish();
}
