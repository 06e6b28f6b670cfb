// SPDX-License-Identifier: Apache-2.0
// A thread that somebody waits for in pthread_join detaches itself: that changes nothing, and the joiner gets its result.
#include "check.h"

static pthread_t subject;
static int joining;

// The state of main's kernel thread, as /proc has it.
static char state_of_main(void) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
  FILE* file = fopen(path, "r");
  MUST(file != NULL && fgets(text, sizeof text, file) != NULL);
  fclose(file);
  return strrchr(text, ')')[2];
}

static void* detaches_itself(void* argument) {
  while (!__atomic_load_n(&joining, __ATOMIC_ACQUIRE) || state_of_main() != 'S') sched_yield();
  SHOW_ERROR(pthread_detach(pthread_self()));
  SHOW_ERROR(pthread_detach(pthread_self()));
  return argument;
}

int main(void) {
  for (int round = 0; round < 3; round++) {
    joining = 0;
    void* result = NULL;
    MUST(pthread_create(&subject, NULL, detaches_itself, as_pointer(round)) == 0);
    __atomic_store_n(&joining, 1, __ATOMIC_RELEASE);
    SHOW_ERROR(pthread_join(subject, &result));
    CHECK(as_long(result) == round);
  }
  return finish();
}
