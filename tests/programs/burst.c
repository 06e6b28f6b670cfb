// SPDX-License-Identifier: Apache-2.0
// Two thousand threads at once, each of which leaves much in its malloc cache: when they have ended the memory goes back, and as many
// begin again and find their thread-local variables as new.
#include "check.h"

#include <malloc.h>

enum { kThreads = 2000, kBlocks = 7, kSmallest = 32, kLargest = 1024, kLimitKiB = 120 << 10 };

static __thread int as_new = 7;
static pthread_barrier_t all_there;

static void* fills_its_cache(void* argument) {
  long wrong = as_new != 7;
  as_new = (int)as_long(argument);
  void* blocks[kBlocks];
  for (size_t size = kSmallest; size <= kLargest; size += 16) {
    for (int i = 0; i < kBlocks; i++) memset(blocks[i] = malloc(size), 1, size);
    for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  }
  pthread_barrier_wait(&all_there);
  return as_pointer(wrong);
}

static long resident_kib(void) {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  MUST(file && fscanf(file, "%*d %ld", &pages) == 1);
  fclose(file);
  return pages * 4;
}

static void burst(void) {
  static pthread_t threads[kThreads];
  long wrong = 0;
  pthread_barrier_init(&all_there, NULL, kThreads);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(fills_its_cache, as_pointer(i));
  for (int i = 0; i < kThreads; i++) wrong += as_long(join_thread(threads[i]));
  pthread_barrier_destroy(&all_there);
  say("%ld threads found what another had left", wrong);
}

int main(void) {
  burst();
  struct timespec nap = {0, 10000000};
  long resident = resident_kib();
  for (int i = 0; resident > kLimitKiB && i < 2000; i++) {
    nanosleep(&nap, NULL);
    malloc_trim(0);
    resident = resident_kib();
  }
  if (resident > kLimitKiB) say("%ld KiB are still there", resident);
  CHECK(resident <= kLimitKiB);
  burst();
  return check_failures != 0;
}
