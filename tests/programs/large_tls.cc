// SPDX-License-Identifier: Apache-2.0
// Much thread-local memory: it lies on the stack of a thread, whichever way that was asked for, and stacks that are too small for it
// are refused.
#include "check.h"

#include <sys/mman.h>

constexpr size_t kLarge = 300000;
static thread_local char zeroed[kLarge];
static thread_local long numbers[1000] = {1, 2, 3};

// All of it is as at a thread's beginning, and stays as it was written.
static void* uses(void* argument) {
  long wrong = 0;
  for (size_t i = 0; i < kLarge; i++) wrong += zeroed[i] != 0;
  for (int i = 0; i < 1000; i++) wrong += numbers[i] != (i < 3 ? i + 1 : 0);
  memset(zeroed, (int)as_long(argument), kLarge);
  char below[4096];
  memset(below, 1, sizeof below);
  sched_yield();
  for (size_t i = 0; i < kLarge; i++) wrong += zeroed[i] != (char)as_long(argument);
  return as_pointer(wrong + below[17] - 1);
}

static void with(const char* what, size_t size, void* memory) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (memory != nullptr)
    pthread_attr_setstack(&attributes, memory, size);
  else
    pthread_attr_setstacksize(&attributes, size);
  pthread_t threads[8];
  int error = pthread_create(&threads[0], &attributes, uses, as_pointer(1));
  say("%s: %s", what, name_of_errno(error));
  int made = error == 0;
  for (; made && made < 8 && memory == nullptr; made++)
    MUST(pthread_create(&threads[made], &attributes, uses, as_pointer(made + 1)) == 0);
  for (int i = 0; i < made; i++) say("  wrong bytes: %ld", as_long(join_thread(threads[i])));
  pthread_attr_destroy(&attributes);
}

int main() {
  say("  wrong bytes: %ld", as_long(in_thread(uses, as_pointer(7))));
  with("eight megabytes", 8 << 20, nullptr);
  with("one megabyte", 1 << 20, nullptr);
  with("too little", 64 << 10, nullptr);
  with("a little too little", 300000, nullptr);
  constexpr size_t kOwn = 1 << 20;
  void* memory = mmap(nullptr, kOwn, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  with("own memory", kOwn, memory);
  with("own memory again", kOwn, memory);
  with("too little of it", 128 << 10, memory);
  return finish();
}
