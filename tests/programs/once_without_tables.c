// SPDX-License-Identifier: Apache-2.0
// A pthread_once routine that is compiled without unwind tables and is left by a cancellation or by pthread_exit: it has not been run,
// and the next caller runs it.
#include "check.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t inside;
static int round_number;

static void cleanup(void* what) { say("cleanup of the %s", (const char*)what); }

static void routine(void) {
  pthread_cleanup_push(cleanup, "routine");
  say("routine, round %d", round_number);
  if (round_number == 0) {
    pthread_barrier_wait(&inside);
    for (;;) pause();
  }
  if (round_number == 1) pthread_exit(as_pointer(7));
  pthread_cleanup_pop(0);
}

static void* call(void* unused) {
  pthread_cleanup_push(cleanup, "caller");
  CHECK(pthread_once(&once, routine) == 0);
  pthread_cleanup_pop(0);
  return unused;
}

int main(void) {
  MUST(pthread_barrier_init(&inside, NULL, 2) == 0);
  pthread_t thread = start_thread(call, NULL);
  pthread_barrier_wait(&inside);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(join_thread(thread) == PTHREAD_CANCELED);
  round_number = 1;
  CHECK(join_thread(start_thread(call, NULL)) == as_pointer(7));
  round_number = 2;
  CHECK(join_thread(start_thread(call, NULL)) == NULL);
  CHECK(join_thread(start_thread(call, NULL)) == NULL);
  return finish();
}
