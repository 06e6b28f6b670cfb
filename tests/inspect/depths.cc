// SPDX-License-Identifier: Apache-2.0
// usage: depths NUMBER [undumpable]. So many threads, each named "FLAVOUR DEPTH NUMBER" and waiting at that depth: in a read of a pipe, on a
// semaphore, a condition variable or a mutex, as NUMBER mod 4 says. Writes "ready" once all have been started, and ends with its stdin.
// For a line "beat MILLISECONDS" main does nothing for so long but look at the clock: the longest it did not get to that is what it says.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "descent.h"

static int ends[2];
static sem_t semaphore;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void wait_at_bottom(Descent* d) {
  char byte;
  switch ((long)d->argument % 4) {
    case 0:
      (void)!read(ends[0], &byte, 1);
      break;
    case 1:
      sem_wait(&semaphore);
      break;
    case 2:
      pthread_mutex_lock(&mutex);
      for (;;) pthread_cond_wait(&condition, &mutex);
    case 3:
      pthread_mutex_lock(&held);
      break;
  }
  KEEP_FRAME;
}

static void* run(void* argument) {
  const long number = (long)argument;
  Descent d;
  d.depth = (int)(number % 20);
  d.at_bottom = wait_at_bottom;
  d.argument = argument;
  char name[16];
  snprintf(name, sizeof name, "%c %d %ld", number % 2 == 0 ? 'a' : 'b', d.depth, number);
  pthread_setname_np(pthread_self(), name);
  descend(&d, number % 2 != 0);
  return nullptr;
}

static long now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

static void beat(long milliseconds) {
  long gap = 0, last = now();
  for (const long end = last + milliseconds * 1'000'000; last < end;) {
    const long next = now();
    gap = std::max(gap, next - last);
    last = next;
  }
  printf("gap %ld\n", gap);
  fflush(stdout);
}

int main(int count, char** words) {
  const long threads = count > 1 ? atol(words[1]) : 100;
  if (count > 2 && strcmp(words[2], "undumpable") == 0) prctl(PR_SET_DUMPABLE, 0);
  if (pipe(ends) != 0) return 1;
  sem_init(&semaphore, 0, 0);
  pthread_mutex_lock(&held);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  for (long i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, run, (void*)i) != 0) return 2;
  }
  puts("ready");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin) != nullptr) {
    long milliseconds;
    if (sscanf(line, "beat %ld", &milliseconds) == 1) beat(milliseconds);
  }
  _exit(0);
}
