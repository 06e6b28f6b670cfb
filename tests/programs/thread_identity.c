// SPDX-License-Identifier: Apache-2.0
// Who a thread is: its number stays the same across waits and differs from all others; errno and locale are its own.
#include "check.h"

#include <locale.h>
#include <sys/syscall.h>

enum { kThreads = 60 };

static pthread_barrier_t barrier;
static pid_t numbers[kThreads];
static pthread_t selves[kThreads];

static void* identity(void* argument) {
  long index = as_long(argument);
  pid_t number = gettid();
  numbers[index] = number;
  selves[index] = pthread_self();
  errno = (int)index + 1;
  for (int i = 0; i < 20; i++) {
    struct timespec nap = {0, 50000};
    nanosleep(&nap, NULL);
    CHECK(gettid() == number);
    CHECK(syscall(SYS_gettid) == number);
    CHECK(errno == (int)index + 1);
    CHECK(pthread_equal(pthread_self(), selves[index]));
  }
  CHECK(number != getpid());
  pthread_barrier_wait(&barrier);
  return NULL;
}

static void* fails(void* argument) {
  int expected = as_long(argument) % 2 == 0 ? EBADF : ENOENT;
  for (int i = 0; i < 50; i++) {
    char byte;
    errno = 0;
    if (expected == EBADF) {
      CHECK(read(-1, &byte, 1) == -1);
    } else {
      CHECK(access("missing", R_OK) == -1);
    }
    sched_yield();
    CHECK(errno == expected);
    errno = 12345;
    CHECK(write(STDOUT_FILENO, "", 0) == 0);
    struct timespec nap = {0, 1000};
    CHECK(nanosleep(&nap, NULL) == 0);
    CHECK(errno == 12345);
  }
  return NULL;
}

static void* locales(void* argument) {
  CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
  locale_t own = newlocale(LC_ALL_MASK, as_long(argument) % 2 == 0 ? "C.UTF-8" : "C", NULL);
  MUST(own != NULL);
  uselocale(own);
  for (int i = 0; i < 20; i++) {
    sched_yield();
    CHECK(uselocale(NULL) == own);
    CHECK(MB_CUR_MAX == (as_long(argument) % 2 == 0 ? 6 : 1));
    // The tables behind isalpha and kin are the thread's too.
    CHECK(strtod("2.5", NULL) == 2.5);
  }
  uselocale(LC_GLOBAL_LOCALE);
  freelocale(own);
  // Left set, it is gone with the thread.
  static locale_t left;
  if (as_long(argument) == 0) left = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);
  if (as_long(argument) == 0) uselocale(left);
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  pthread_barrier_init(&barrier, NULL, kThreads);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(identity, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  int same = 0;
  for (int i = 0; i < kThreads; i++)
    for (int k = 0; k < i; k++) same += numbers[i] == numbers[k] || pthread_equal(selves[i], selves[k]);
  say("equal numbers among %d living threads: %d", kThreads, same);
  CHECK(gettid() == getpid());
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(fails, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("errno is the thread's own");
  for (int round = 0; round < 3; round++) {
    for (long i = 0; i < kThreads; i++) threads[i] = start_thread(locales, as_pointer(i));
    for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  }
  say("the locale is the thread's own");
  return finish();
}
