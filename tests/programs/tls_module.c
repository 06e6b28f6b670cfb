// SPDX-License-Identifier: Apache-2.0
// A library with thread-local variables and a constructor, for programs that load it late.
#include <pthread.h>
#include <stddef.h>

static __thread int counter = 100;
static __thread char zeroes[2000];
static int constructed_in_thread;

static void* nothing(void* unused) { return unused; }

__attribute__((constructor)) static void construct(void) {
  pthread_t thread;
  constructed_in_thread = pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

int module_count(void);
int module_count(void) {
  for (size_t i = 0; i < sizeof zeroes; i++)
    if (zeroes[i] != (counter == 100 ? 0 : 1)) return -1;
  for (size_t i = 0; i < sizeof zeroes; i++) zeroes[i] = 1;
  return ++counter;
}

int module_constructed(void);
int module_constructed(void) { return constructed_in_thread; }
