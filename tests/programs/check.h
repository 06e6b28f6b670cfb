// SPDX-License-Identifier: Apache-2.0
// What the programs of this directory share: results printed so that two runs can be compared, and threads started and
// joined without ceremony. Nothing here knows of weft.
//
// say() writes past stdio, a line in one call, so that lines of several threads never mix and nothing is left in a
// buffer for a forked child to print again. SHOW prints a call with its value and the name of its errno; CHECK prints
// only what is false, and makes the program fail natively too, so that a wrong expectation cannot pass as "the same
// twice".
#ifndef WEFT_TESTS_PROGRAMS_CHECK_H_
#define WEFT_TESTS_PROGRAMS_CHECK_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int check_failures;

__attribute__((unused, format(printf, 1, 2))) static void say(const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
  line[length++] = '\n';
  int saved = errno;
  if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(120);
  errno = saved;
}

__attribute__((unused)) static const char* name_of_errno(int error) {
  const char* name = error == 0 ? "0" : strerrorname_np(error);
  return name == NULL ? "?" : name;
}

__attribute__((unused)) static int check_that(int holds, const char* text, int line) {
  if (!holds) {
    say("line %d: not so: %s (errno %s)", line, text, name_of_errno(errno));
    __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);
  }
  return holds;
}
#define CHECK(condition) check_that(!!(condition), #condition, __LINE__)

__attribute__((unused)) static long show_result(const char* text, long value, int error) {
  if (value == -1 && error != 0)
    say("%s = -1 %s", text, name_of_errno(error));
  else
    say("%s = %ld", text, value);
  errno = error;
  return value;
}
// The value, and errno where the value is -1.
#define SHOW(call)                          \
  __extension__({                           \
    errno = 0;                              \
    long show_value_ = (long)(call);        \
    show_result(#call, show_value_, errno); \
  })
// For the calls that return their error.
#define SHOW_ERROR(call)                              \
  __extension__({                                     \
    int show_error_ = (call);                         \
    say("%s: %s", #call, name_of_errno(show_error_)); \
    show_error_;                                      \
  })
// A step that must work for the rest to mean anything.
#define MUST(condition)                                                                   \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      say("line %d: gave up: %s (errno %s)", __LINE__, #condition, name_of_errno(errno)); \
      _exit(121);                                                                         \
    }                                                                                     \
  } while (0)

typedef void* (*thread_start)(void*);

__attribute__((unused)) static pthread_t start_thread(thread_start start, void* argument) {
  pthread_t thread;
  MUST(pthread_create(&thread, NULL, start, argument) == 0);
  return thread;
}

__attribute__((unused)) static void* join_thread(pthread_t thread) {
  void* result = NULL;
  MUST(pthread_join(thread, &result) == 0);
  return result;
}

// Runs start in a thread of its own and waits for it: for programs whose subject is what one thread sees.
__attribute__((unused)) static void* in_thread(thread_start start, void* argument) {
  return join_thread(start_thread(start, argument));
}

__attribute__((unused)) static void* as_pointer(long value) { return (void*)(intptr_t)value; }
__attribute__((unused)) static long as_long(const void* pointer) { return (long)(intptr_t)pointer; }

__attribute__((unused)) static long long now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

__attribute__((unused)) static struct timespec after_ms(clockid_t clock, long milliseconds) {
  long long at = now_ns(clock) + milliseconds * 1000000LL;
  struct timespec result;
  result.tv_sec = (time_t)(at / 1000000000LL);
  result.tv_nsec = (long)(at % 1000000000LL);
  return result;
}

__attribute__((unused)) static long ms_since(long long start_ns) {
  return (long)((now_ns(CLOCK_MONOTONIC) - start_ns) / 1000000LL);
}

// Gives other threads time to get as far as their next wait, so that the interesting order is the likely one. No result
// may depend on it having worked, except where the comment at the call says why nothing else can tell.
__attribute__((unused)) static void settle(void) {
  struct timespec pause_length = {0, 60 * 1000000L};
  while (nanosleep(&pause_length, &pause_length) == -1 && errno == EINTR) {
  }
}

__attribute__((unused)) static int finish(void) {
  say(check_failures == 0 ? "done" : "failed");
  return check_failures == 0 ? 0 : 1;
}

#endif
