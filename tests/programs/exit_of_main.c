// SPDX-License-Identifier: Apache-2.0
// main leaves by pthread_exit while threads go on; the process ends, with status 0 and its atexit handlers, after the
// last.
#include "check.h"

#include <semaphore.h>

static sem_t main_has_left;
static pthread_key_t key;

static void at_exit(void) { say("atexit"); }

static void main_is_gone(void* unused) {
  (void)unused;
  say("main's key destructor");
  for (int i = 0; i < 5; i++) sem_post(&main_has_left);
}

static void* later(void* argument) {
  sem_wait(&main_has_left);
  long depth = as_long(argument);
  struct timespec nap = {0, 2000000};
  nanosleep(&nap, NULL);
  if (depth > 0) {
    sem_post(&main_has_left);
    pthread_detach(start_thread(later, as_pointer(depth - 1)));
  }
  return NULL;
}

int main(void) {
  sem_init(&main_has_left, 0, 0);
  atexit(at_exit);
  MUST(pthread_key_create(&key, main_is_gone) == 0);
  MUST(pthread_setspecific(key, &key) == 0);
  for (int i = 0; i < 5; i++) start_thread(later, as_pointer(i * 5));
  say("main leaves");
  pthread_exit(NULL);
}
