// SPDX-License-Identifier: Apache-2.0
// usage: churn NUMBER. So many threads that go down to changing depths in changing flavours, yield at each bottom, and never rest. Writes
// "ready" and ends with its stdin.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "descent.h"

static void yield_at_bottom(Descent* d) {
  sched_yield();
  sched_yield();
  KEEP_FRAME;
}

static void* run(void* argument) {
  unsigned state = (unsigned)(long)argument * 2654435761u + 1;
  Descent d;
  d.at_bottom = yield_at_bottom;
  for (;;) {
    state = state * 1664525 + 1013904223;
    d.depth = (int)(state >> 16) % 20;
    descend(&d, state >> 31 != 0);
    KEEP_FRAME;
  }
  return nullptr;
}

int main(int count, char** words) {
  const long threads = count > 1 ? atol(words[1]) : 100;
  for (long i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, run, (void*)i) != 0) return 2;
  }
  puts("ready");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  _exit(0);
}
