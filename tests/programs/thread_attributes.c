// SPDX-License-Identifier: Apache-2.0
// What a thread says of itself: stack bounds that contain its locals, sizes as asked, names, identity, detach state.
#include "check.h"

#include <limits.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void describe(size_t asked, size_t guard) {
  pthread_attr_t attribute;
  void* low = NULL;
  size_t size = 0, guard_size = 0;
  int state = -1;
  char local = 0;
  MUST(pthread_getattr_np(pthread_self(), &attribute) == 0);
  MUST(pthread_attr_getstack(&attribute, &low, &size) == 0);
  MUST(pthread_attr_getguardsize(&attribute, &guard_size) == 0);
  MUST(pthread_attr_getdetachstate(&attribute, &state) == 0);
  pthread_attr_destroy(&attribute);
  say("contains a local %d, size as asked %d, guard as asked %d, detached %d",
      &local >= (char*)low && &local < (char*)low + size, size >= asked - guard_size, guard_size == guard,
      state == PTHREAD_CREATE_DETACHED);
}

struct wanted {
  size_t size;
  size_t guard;
};

static void* describe_in_thread(void* argument) {
  struct wanted* wanted = argument;
  describe(wanted->size, wanted->guard);
  return NULL;
}

static void sizes(void) {
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
  pthread_attr_t defaults;
  size_t default_size = 0;
  MUST(pthread_getattr_default_np(&defaults) == 0);
  MUST(pthread_attr_getstacksize(&defaults, &default_size) == 0);
  pthread_attr_destroy(&defaults);
  struct wanted wanted = {default_size, 4096};
  in_thread(describe_in_thread, &wanted);
  size_t sizes[] = {65536, 262144, 1 << 20, 16 << 20, 100000 - 100000 % 4096};
  for (int i = 0; i < 5; i++) {
    pthread_attr_t attribute;
    pthread_t thread;
    wanted.size = sizes[i];
    wanted.guard = i == 3 ? 16384 : 4096;
    pthread_attr_init(&attribute);
    MUST(pthread_attr_setstacksize(&attribute, wanted.size) == 0);
    if (i == 3) MUST(pthread_attr_setguardsize(&attribute, wanted.guard) == 0);
    MUST(pthread_create(&thread, &attribute, describe_in_thread, &wanted) == 0);
    join_thread(thread);
    pthread_attr_destroy(&attribute);
  }
  pthread_attr_t attribute;
  pthread_attr_init(&attribute);
  SHOW_ERROR(pthread_attr_setstacksize(&attribute, PTHREAD_STACK_MIN - 1));
  pthread_attr_destroy(&attribute);
}

static pthread_barrier_t barrier;
static pthread_t last_self;

static void* names(void* argument) {
  char name[16] = "?", by_prctl[16] = "?";
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  say("inherited name: %s", name);
  SHOW_ERROR(pthread_setname_np(pthread_self(), "sixteen-or-more-characters"));
  SHOW_ERROR(pthread_setname_np(pthread_self(), argument));
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  MUST(prctl(PR_GET_NAME, by_prctl) == 0);
  say("renamed by main: %s, by prctl: %s", name, by_prctl);
  MUST(prctl(PR_SET_NAME, "prctl-name") == 0);
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  say("set by prctl: %s", name);
  SHOW_ERROR(pthread_getname_np(pthread_self(), name, 5));
  last_self = pthread_self();
  return NULL;
}

static void* next_name(void* unused) {
  char name[16] = "?";
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  say("the next thread's name: %s", name);
  return unused;
}

int main(void) {
  MUST(pthread_setname_np(pthread_self(), "main-name") == 0);
  sizes();
  pthread_barrier_init(&barrier, NULL, 2);
  char name[16] = "?";
  pthread_t thread = start_thread(names, "first-name");
  pthread_barrier_wait(&barrier);
  MUST(pthread_getname_np(thread, name, sizeof name) == 0);
  say("seen by main: %s", name);
  SHOW_ERROR(pthread_setname_np(thread, "given-by-main"));
  pthread_barrier_wait(&barrier);
  join_thread(thread);
  CHECK(pthread_equal(thread, last_self));
  CHECK(!pthread_equal(thread, pthread_self()));
  in_thread(next_name, NULL);
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  say("main: %s", name);
  pthread_attr_t attribute;
  char local;
  void* low;
  size_t size;
  MUST(pthread_getattr_np(pthread_self(), &attribute) == 0);
  pthread_attr_getstack(&attribute, &low, &size);
  pthread_attr_destroy(&attribute);
  say("main's stack contains a local %d", &local >= (char*)low && &local < (char*)low + size);
  return finish();
}
