// SPDX-License-Identifier: Apache-2.0
// What threads without attributes get, before and after the program changes it: stack, guard and scheduling.
#include "check.h"

#include <sched.h>
#include <threads.h>

static void show(const char* what) {
  pthread_attr_t attributes;
  size_t size = 0, guard = 0;
  void* low;
  struct sched_param priority = {-1};
  int policy = -1;
  MUST(pthread_getattr_np(pthread_self(), &attributes) == 0);
  CHECK(pthread_attr_getstack(&attributes, &low, &size) == 0);
  CHECK(pthread_attr_getguardsize(&attributes, &guard) == 0);
  CHECK(pthread_getschedparam(pthread_self(), &policy, &priority) == 0);
  CHECK((char*)&low >= (char*)low && (char*)&low < (char*)low + size);
  say("%s: stack %zu, guard %zu, policy %d, priority %d", what, size, guard, policy, priority.sched_priority);
  pthread_attr_destroy(&attributes);
}

static void* posix(void* unused) {
  show("pthread_create");
  return unused;
}

static int standard(void* unused) {
  (void)unused;
  show("thrd_create");
  return 7;
}

static void make_both(void) {
  thrd_t thread;
  int result = 0;
  in_thread(posix, NULL);
  CHECK(thrd_create(&thread, standard, NULL) == thrd_success);
  CHECK(thrd_join(thread, &result) == thrd_success && result == 7);
}

int main(void) {
  pthread_attr_t attributes;
  struct sched_param priority = {2};
  make_both();
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 1 << 20) == 0);
  CHECK(pthread_attr_setguardsize(&attributes, 16384) == 0);
  SHOW_ERROR(pthread_setattr_default_np(&attributes));
  make_both();
  CHECK(pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0);
  CHECK(pthread_attr_setschedpolicy(&attributes, SCHED_FIFO) == 0);
  CHECK(pthread_attr_setschedparam(&attributes, &priority) == 0);
  SHOW_ERROR(pthread_setattr_default_np(&attributes));
  make_both();
  return finish();
}
