// SPDX-License-Identifier: Apache-2.0
// Thread-specific data whose keys were made by libc's own pthread_key_create, found with dlsym as some runtimes find it: destructors run
// at a thread's end, and the next thread finds no value, up to keys that lie beyond glibc's first block of values.
#include "check.h"

#include <dlfcn.h>

enum { key_count = 70 };

static pthread_key_t keys[key_count];
static int destroyed;

static void destroy(void* value) { destroyed += value != NULL; }

static void* uses_keys(void* unused) {
  for (int i = 0; i < key_count; i++) {
    CHECK(pthread_getspecific(keys[i]) == NULL);
    CHECK(pthread_setspecific(keys[i], &keys[i]) == 0);
  }
  return unused;
}

static void* does_nothing(void* unused) { return unused; }

int main(void) {
  void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  MUST(libc != NULL);
  int (*create)(pthread_key_t*, void (*)(void*)) =
      (int (*)(pthread_key_t*, void (*)(void*)))dlsym(libc, "pthread_key_create");
  MUST(create != NULL);
  join_thread(start_thread(does_nothing, NULL));  // what there is by then is known anyway
  for (int i = 0; i < key_count; i++) MUST(create(&keys[i], destroy) == 0);
  for (int round = 0; round < 3; round++) {
    join_thread(start_thread(uses_keys, NULL));
    say("after round %d: %d", round, destroyed);
  }
  return finish();
}
