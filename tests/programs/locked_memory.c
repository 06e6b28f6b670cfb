// SPDX-License-Identifier: Apache-2.0
// mlockall: what threads lock are their own stacks, made before it or after, and not much besides.
#include "check.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { kMost = 5, kMegabyte = 1024 };  // as /proc counts

static pthread_barrier_t all;

static long locked(void) {
  char line[256];
  long kilobytes = -1;
  FILE* file = fopen("/proc/self/status", "r");
  MUST(file != NULL);
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "VmLck: %ld", &kilobytes) == 1) break;
  fclose(file);
  MUST(kilobytes >= 0);
  return kilobytes;
}

static void* waits(void* unused) {
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return unused;
}

static int lock_all(int flags) { return mlockall(flags); }
static int unlock_all(void) { return munlockall(); }
static int lock_all_by_number(int flags) { return (int)syscall(SYS_mlockall, flags); }
static int unlock_all_by_number(void) { return (int)syscall(SYS_munlockall); }

// By so many threads with stacks of so many megabytes.
static void more_is_locked(const char* when, int count, long stack, long allowance, int first, int (*lock)(int),
                           int (*unlock)(void)) {
  pthread_t threads[kMost];
  pthread_attr_t attributes;
  MUST(pthread_barrier_init(&all, NULL, (unsigned)count + 1) == 0);
  MUST(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, (size_t)stack << 20) == 0);
  if (first) MUST(lock(MCL_CURRENT | MCL_FUTURE) == 0);
  long before = locked();
  for (int i = 0; i < count; i++) MUST(pthread_create(&threads[i], &attributes, waits, NULL) == 0);
  pthread_barrier_wait(&all);
  if (!first) MUST(lock(MCL_CURRENT) == 0);
  long more = locked() - before;
  say("%s: %d stacks %s, little besides %s", when, count, more >= count * stack * kMegabyte ? "yes" : "no",
      more < (count * stack + allowance) * kMegabyte ? "yes" : "no");
  pthread_barrier_wait(&all);
  for (int i = 0; i < count; i++) join_thread(threads[i]);
  MUST(unlock() == 0);
}

int main(void) {
  MUST(mallopt(M_ARENA_MAX, 1) == 1);  // another one takes 128 megabytes for a moment
  more_is_locked("made after it", 3, 4, 40, 1, lock_all, unlock_all);
  more_is_locked("made after it again", 5, 5, 40, 1, lock_all_by_number, unlock_all_by_number);
  more_is_locked("made before it", 2, 20, 180, 0, lock_all, unlock_all);
  SHOW(mlockall(0));
  SHOW(mlockall(64));
  return finish();
}
