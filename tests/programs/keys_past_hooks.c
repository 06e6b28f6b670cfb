// SPDX-License-Identifier: Apache-2.0
// Thread-specific data whose keys were made by libc's own pthread_key_create, found with dlsym as some runtimes find it: destructors run
// at a thread's end, and the next thread finds no value, up to keys that lie beyond glibc's first block of values, and behind one that
// has been deleted. What glibc allocates for values is given back.
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>

enum { kFew = 5, kMany = 70, kThreads = 2000 };

static pthread_key_t keys[kMany];
static int key_count;
static int deleted = -1;
static int destroyed;

static void destroy(void* value) { destroyed += value != NULL; }

static void* uses_keys(void* unused) {
  for (int i = 0; i < key_count; i++) {
    if (i == deleted) continue;
    CHECK(pthread_getspecific(keys[i]) == NULL);
    CHECK(pthread_setspecific(keys[i], &keys[i]) == 0);
  }
  return unused;
}

static void* does_nothing(void* unused) { return unused; }

static void make_keys(int count) {
  void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  MUST(libc != NULL);
  int (*create)(pthread_key_t*, void (*)(void*)) =
      (int (*)(pthread_key_t*, void (*)(void*)))dlsym(libc, "pthread_key_create");
  MUST(create != NULL);
  for (int i = 0; i < count; i++) MUST(create(&keys[i], destroy) == 0);
  key_count = count;
  dlclose(libc);
}

int main(void) {
  join_thread(start_thread(does_nothing, NULL));  // what there is by then is known anyway
  make_keys(kFew);
  for (int round = 0; round < 3; round++) {
    join_thread(start_thread(uses_keys, NULL));
    say("after round %d: %d", round, destroyed);
  }

  make_keys(kMany);
  deleted = 0;
  MUST(pthread_key_delete(keys[deleted]) == 0);
  join_thread(start_thread(uses_keys, NULL));
  say("behind a deleted one: %d", destroyed);
  size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kThreads; i++) join_thread(start_thread(uses_keys, NULL));
  CHECK(mallinfo2().uordblks < before + kThreads * 256);  // a block of values is larger
  say("after many: %d", destroyed);
  return finish();
}
