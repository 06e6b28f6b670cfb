// SPDX-License-Identifier: Apache-2.0
// A process whose address space is limited gets nearly as many threads as the limit has room for stacks.
#include "check.h"

#include <sys/resource.h>

static int ends[2];

static void* waits(void* argument) {
  char byte;
  MUST(read(ends[0], &byte, 1) == 1);
  return argument;
}

int main(void) {
  // Half of it for stacks: an arena of malloc's takes 128 megabytes for a moment.
  struct rlimit limit = {384 << 20, 384 << 20};
  pthread_attr_t attributes;
  pthread_t threads[24];
  MUST(pipe(ends) == 0);
  MUST(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 8 << 20) == 0);
  MUST(setrlimit(RLIMIT_AS, &limit) == 0);
  for (int i = 0; i < 24; i++) MUST(pthread_create(&threads[i], &attributes, waits, as_pointer(i)) == 0);
  for (int i = 0; i < 24; i++) MUST(write(ends[1], "x", 1) == 1);
  for (int i = 0; i < 24; i++) CHECK(as_long(join_thread(threads[i])) == i);
  return finish();
}
