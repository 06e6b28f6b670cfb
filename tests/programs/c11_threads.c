// SPDX-License-Identifier: Apache-2.0
// The C11 names: thrd_, mtx_, cnd_, tss_ and call_once.
#include "check.h"

#include <threads.h>

static const char* outcome(int result) {
  switch (result) {
    case thrd_success:
      return "success";
    case thrd_busy:
      return "busy";
    case thrd_timedout:
      return "timedout";
    case thrd_error:
      return "error";
    default:
      return "nomem";
  }
}

static mtx_t plain, timed, recursive;
static cnd_t turn_changed;
static int turn, detached_ended;
static long counter;
static tss_t key;
static int destroyed;
static once_flag flag = ONCE_FLAG_INIT;
static int once_runs;

static int add(void* argument) {
  for (int i = 0; i < 500; i++) {
    mtx_lock(&plain);
    counter++;
    if (i % 100 == 0) thrd_yield();
    mtx_unlock(&plain);
  }
  return (int)as_long(argument);
}

static int leave(void* argument) { thrd_exit((int)as_long(argument) * 2); }

static int player(void* argument) {
  int side = (int)as_long(argument);
  for (int i = 0; i < 100; i++) {
    mtx_lock(&plain);
    while (turn % 2 != side) cnd_wait(&turn_changed, &plain);
    turn++;
    cnd_broadcast(&turn_changed);
    mtx_unlock(&plain);
  }
  return 0;
}

static int detached(void* unused) {
  mtx_lock(&plain);
  detached_ended = 1;
  cnd_signal(&turn_changed);
  mtx_unlock(&plain);
  (void)unused;
  return 0;
}

static void destroy(void* value) { __atomic_add_fetch(&destroyed, (int)as_long(value), __ATOMIC_RELAXED); }

static int with_value(void* argument) {
  CHECK(tss_get(key) == NULL);
  CHECK(tss_set(key, argument) == thrd_success);
  thrd_yield();
  CHECK(tss_get(key) == argument);
  return 0;
}

static void once_only(void) { once_runs++; }
static int call_it(void* unused) {
  call_once(&flag, once_only);
  (void)unused;
  return once_runs;
}

static int others(void* unused) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  say("mtx_trylock: %s", outcome(mtx_trylock(&timed)));
  say("mtx_timedlock: %s", outcome(mtx_timedlock(&timed, &limit)));
  (void)unused;
  return 0;
}

static int all(void* unused) {
  thrd_t threads[10];
  int result;
  mtx_init(&plain, mtx_plain);
  mtx_init(&timed, mtx_timed);
  mtx_init(&recursive, mtx_plain | mtx_recursive);
  cnd_init(&turn_changed);
  counter = turn = detached_ended = destroyed = 0;

  long sum = 0;
  for (int i = 0; i < 10; i++) MUST(thrd_create(&threads[i], add, as_pointer(i)) == thrd_success);
  for (int i = 0; i < 10; i++) {
    MUST(thrd_join(threads[i], &result) == thrd_success);
    sum += result;
  }
  say("counter %ld, results %ld", counter, sum);
  MUST(thrd_create(&threads[0], leave, as_pointer(21)) == thrd_success);
  thrd_join(threads[0], &result);
  say("thrd_exit: %d", result);

  for (int i = 0; i < 2; i++) MUST(thrd_create(&threads[i], player, as_pointer(i)) == thrd_success);
  for (int i = 0; i < 2; i++) thrd_join(threads[i], NULL);
  say("turns %d", turn);

  mtx_lock(&plain);
  MUST(thrd_create(&threads[0], detached, NULL) == thrd_success);
  MUST(thrd_detach(threads[0]) == thrd_success);
  while (!detached_ended) cnd_wait(&turn_changed, &plain);
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  do {
    result = cnd_timedwait(&turn_changed, &plain, &limit);
  } while (result == thrd_success);
  say("cnd_timedwait: %s", outcome(result));
  mtx_unlock(&plain);

  mtx_lock(&timed);
  MUST(thrd_create(&threads[0], others, NULL) == thrd_success);
  thrd_join(threads[0], NULL);
  mtx_unlock(&timed);
  mtx_lock(&recursive);
  say("recursive: %s", outcome(mtx_trylock(&recursive)));
  mtx_unlock(&recursive);
  mtx_unlock(&recursive);

  MUST(tss_create(&key, destroy) == thrd_success);
  for (int i = 0; i < 10; i++) MUST(thrd_create(&threads[i], with_value, as_pointer(i + 1)) == thrd_success);
  for (int i = 0; i < 10; i++) thrd_join(threads[i], NULL);
  say("tss destructors: %d", destroyed);
  tss_delete(key);

  for (int i = 0; i < 10; i++) MUST(thrd_create(&threads[i], call_it, NULL) == thrd_success);
  for (int i = 0; i < 10; i++) {
    thrd_join(threads[i], &result);
    CHECK(result == 1);
  }
  struct timespec nap = {0, 20000000};
  long long start = now_ns(CLOCK_MONOTONIC);
  say("thrd_sleep: %d", thrd_sleep(&nap, NULL));
  CHECK(ms_since(start) >= 20);
  nap.tv_nsec = -1;
  say("thrd_sleep: %d", thrd_sleep(&nap, NULL));
  CHECK(thrd_equal(thrd_current(), thrd_current()));
  cnd_destroy(&turn_changed);
  mtx_destroy(&plain);
  mtx_destroy(&timed);
  mtx_destroy(&recursive);
  (void)unused;
  return 0;
}

int main(void) {
  all(NULL);
  thrd_t thread;
  MUST(thrd_create(&thread, all, NULL) == thrd_success);
  MUST(thrd_join(thread, NULL) == thrd_success);
  return finish();
}
