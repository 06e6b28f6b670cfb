// SPDX-License-Identifier: Apache-2.0
// Stacks: the smallest, 64 KiB, the program's own memory, deep recursion as far as was asked for, many large ones.
#include "check.h"

#include <limits.h>
#include <sys/mman.h>

static long recurse(long depth) {
  volatile char frame[1000];
  frame[0] = (char)depth;
  frame[999] = 1;
  long below = depth == 0 ? 0 : recurse(depth - 1);
  return below + frame[999];
}

static void* deep(void* argument) { return as_pointer(recurse(as_long(argument))); }

static void* modest(void* argument) {
  char text[2000];
  snprintf(text, sizeof text, "%s %d", "number", (int)as_long(argument));
  struct timespec nap = {0, 100000};
  nanosleep(&nap, NULL);
  return as_pointer((long)strlen(text));
}

static char* own_low;
static size_t own_size;

static void* on_own_stack(void* argument) {
  char local = 1;
  CHECK(&local >= own_low && &local < own_low + own_size);
  pthread_attr_t attribute;
  void* low;
  size_t size;
  MUST(pthread_getattr_np(pthread_self(), &attribute) == 0);
  pthread_attr_getstack(&attribute, &low, &size);
  pthread_attr_destroy(&attribute);
  CHECK((char*)low == own_low && size == own_size);
  return as_pointer(recurse(as_long(argument)));
}

static pthread_t with_size(size_t size, thread_start start, long argument) {
  pthread_attr_t attribute;
  pthread_t thread;
  pthread_attr_init(&attribute);
  MUST(pthread_attr_setstacksize(&attribute, size) == 0);
  MUST(pthread_create(&thread, &attribute, start, as_pointer(argument)) == 0);
  pthread_attr_destroy(&attribute);
  return thread;
}

int main(void) {
  say("the smallest: %ld", as_long(join_thread(with_size(PTHREAD_STACK_MIN, modest, 1))));
  pthread_t threads[100];
  for (int i = 0; i < 100; i++) threads[i] = with_size(65536, modest, i);
  long sum = 0;
  for (int i = 0; i < 100; i++) sum += as_long(join_thread(threads[i]));
  say("a hundred of 64 KiB: %ld", sum);
  say("40 KB deep of 64 KiB: %ld", as_long(join_thread(with_size(65536, deep, 36))));
  say("7 MB deep of 8 MiB: %ld", as_long(join_thread(with_size(8 << 20, deep, 6500))));
  say("60 MB deep of 64 MiB: %ld", as_long(join_thread(with_size(64 << 20, deep, 55000))));
  // Used again after that, a stack is as deep as it was.
  for (int i = 0; i < 10; i++) threads[i] = with_size(8 << 20, deep, 6500);
  sum = 0;
  for (int i = 0; i < 10; i++) sum += as_long(join_thread(threads[i]));
  say("ten of them: %ld", sum);
  for (int i = 0; i < 60; i++) threads[i] = with_size(256 << 20, modest, i);
  sum = 0;
  for (int i = 0; i < 60; i++) sum += as_long(join_thread(threads[i]));
  say("sixty of 256 MiB: %ld", sum);

  own_size = 256 << 10;
  for (int i = 0; i < 20; i++) {
    pthread_attr_t attribute;
    pthread_t thread;
    own_low = mmap(NULL, own_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(own_low != MAP_FAILED);
    pthread_attr_init(&attribute);
    MUST(pthread_attr_setstack(&attribute, own_low, own_size) == 0);
    MUST(pthread_create(&thread, &attribute, on_own_stack, as_pointer(150)) == 0);
    pthread_attr_destroy(&attribute);
    CHECK(as_long(join_thread(thread)) == 151);
    // The memory is the program's again.
    memset(own_low, 0xee, own_size);
    MUST(munmap(own_low, own_size) == 0);
  }
  say("own memory: twenty threads");
  in_thread(modest, as_pointer(1));
  return finish();
}
