// SPDX-License-Identifier: Apache-2.0
// What the programs of this directory are written with: checks that say what they saw, and the three kinds of callers there are.
#ifndef WEFT_TESTS_API_CHECK_H
#define WEFT_TESTS_API_CHECK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "weft/co.h"

static int check_failures;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      __atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);               \
    }                                                                         \
  } while (0)

__attribute__((unused)) static void check_equal(const char* file, int line, const char* what, long long is,
                                                const char* wanted, long long value) {
  if (is == value) return;
  fprintf(stderr, "%s:%d: %s is %lld, not %s (%lld)\n", file, line, what, is, wanted, value);
  __atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);
}
#define EQUAL(left, right) check_equal(__FILE__, __LINE__, #left, (long long)(left), #right, (long long)(right))

// A plain call that has failed, with this errno.
#define FAILS(call, error) \
  do {                     \
    errno = 0;             \
    EQUAL(call, -1);       \
    EQUAL(errno, error);   \
  } while (0)

#define MUST(condition)                                                                              \
  do {                                                                                               \
    if (!(condition)) {                                                                              \
      fprintf(stderr, "%s:%d: gave up: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      _Exit(121);                                                                                    \
    }                                                                                                \
  } while (0)

enum { kMillisecond = 1000000, kSoon = 20 * kMillisecond };
static const uint64_t kLong = 60000000000u;  // longer than a test may take

// Gives others time to get as far as their next wait, so that the interesting order is the likely one. No result depends on it.
__attribute__((unused)) static void settle(void) { EQUAL(co_sleep(kSoon), 0); }

__attribute__((unused)) static co_t begin(void* (*fn)(void*), void* arg) {
  co_t made = 0;
  MUST(co_spawn(&made, fn, arg, NULL) == 0);
  CHECK(made != 0);
  return made;
}

__attribute__((unused)) static void* end(co_t co) {
  void* result = NULL;
  EQUAL(co_join(co, &result), 0);
  return result;
}

// From here on the calling coroutine is a kernel thread of its own.
__attribute__((unused)) static void pin_me(void) {
  MUST(co_self() != 0);
  MUST(prctl(PR_SET_TIMERSLACK, 50000, 0, 0, 0) == 0);  // what the kernel starts with, and belongs to a kernel thread
}

__attribute__((unused)) static void* run_pinned(void* fn) {
  pin_me();
  ((void (*)(void))fn)();
  return NULL;
}
__attribute__((unused)) static void* run_woven(void* fn) {
  CHECK(co_self() != 0);
  ((void (*)(void))fn)();
  return NULL;
}

// A case in a coroutine; in a coroutine and in the main thread; and in a pinned coroutine as well.
__attribute__((unused)) static void in_coroutine(void (*fn)(void)) { end(begin(run_woven, (void*)fn)); }
__attribute__((unused)) static void in_pinned(void (*fn)(void)) { end(begin(run_pinned, (void*)fn)); }
__attribute__((unused)) static void anywhere(void (*fn)(void)) {
  CHECK(co_self() == 0);
  fn();
  in_coroutine(fn);
  in_pinned(fn);
}

__attribute__((unused)) static int finish(void) {
  if (check_failures == 0) printf("done\n");
  return check_failures == 0 ? 0 : 1;
}

#endif
