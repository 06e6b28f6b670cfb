// SPDX-License-Identifier: Apache-2.0
// Threads of two hundred different stack sizes and a few guard sizes, many of each one after the other: none is refused,
// each gets what it asked for, and memory does not grow with their number.
#include "check.h"

enum { kSizes = 200, kRounds = 10, kLeast = 64 << 10, kStep = 4096 };

struct asked {
  size_t stack, guard;
};

static void* looks(void* argument) {
  const struct asked* asked = argument;
  pthread_attr_t attributes;
  size_t stack = 0, guard = 0;
  MUST(pthread_getattr_np(pthread_self(), &attributes) == 0);
  pthread_attr_getstacksize(&attributes, &stack);
  pthread_attr_getguardsize(&attributes, &guard);
  pthread_attr_destroy(&attributes);
  CHECK(stack >= asked->stack && guard >= asked->guard);
  volatile char used[32 << 10];
  for (size_t i = 0; i < sizeof used; i += 512) used[i] = 1;
  return argument;
}

static long virtual_megabytes(void) {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  MUST(file && fscanf(file, "%ld", &pages) == 1);
  fclose(file);
  return pages * 4 / 1024;
}

int main(void) {
  long after_first = 0;
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < kSizes; i++) {
      struct asked asked = {kLeast + (size_t)i * kStep, i % 5 == 0 ? 4096u * (unsigned)(i % 7 + 1) : 4096u};
      pthread_attr_t attributes;
      pthread_t thread;
      MUST(pthread_attr_init(&attributes) == 0);
      MUST(pthread_attr_setstacksize(&attributes, asked.stack) == 0);
      MUST(pthread_attr_setguardsize(&attributes, asked.guard) == 0);
      if (CHECK(pthread_create(&thread, &attributes, looks, &asked) == 0)) join_thread(thread);
      pthread_attr_destroy(&attributes);
    }
    if (round == 1) after_first = virtual_megabytes();
  }
  CHECK(virtual_megabytes() <= after_first + 64);
  return finish();
}
