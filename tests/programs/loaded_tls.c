// SPDX-License-Identifier: Apache-2.0
// Libraries with thread-local variables loaded while threads wait: each thread, old or new, has its own, fresh, to the
// end.
#include "check.h"

#include <dlfcn.h>
#include <semaphore.h>

enum { kThreads = 20 };

static int (*volatile count)(void);
static sem_t loaded;
static const char* path;

static void* old_thread(void* unused) {
  sem_wait(&loaded);
  for (int i = 1; i <= 5; i++) {
    CHECK(count() == 100 + i);
    sched_yield();
  }
  return unused;
}

static void* new_thread(void* unused) {
  for (int i = 1; i <= 5; i++) {
    CHECK(count() == 100 + i);
    struct timespec nap = {0, 10000};
    nanosleep(&nap, NULL);
  }
  return unused;
}

static void* load_in_thread(void* unused) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  MUST(library != NULL);
  count = (int (*)(void))dlsym(library, "module_count");
  int (*constructed)(void) = (int (*)(void))dlsym(library, "module_constructed");
  MUST(count != NULL && constructed != NULL);
  CHECK(constructed());
  (void)unused;
  return library;
}

static void round_trip(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(old_thread, NULL);
  settle();
  void* library = in_thread(load_in_thread, NULL);
  for (int i = 0; i < kThreads; i++) sem_post(&loaded);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  for (int i = 0; i < 200; i++) in_thread(new_thread, NULL);
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(new_thread, NULL);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("unloaded: %d", dlclose(library));
}

int main(int argc, char** argv) {
  MUST(argc > 1);
  path = argv[1];
  sem_init(&loaded, 0, 0);
  // With a second argument the library is there before the first thread.
  if (argc > 2) load_in_thread(NULL);
  for (int round = 0; round < 3; round++) round_trip();
  say("missing: %d", dlopen("./missing.so", RTLD_NOW) == NULL);
  return finish();
}
