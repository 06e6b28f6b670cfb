// SPDX-License-Identifier: Apache-2.0
// malloc and free across threads, memory that outlives its thread, and large sorts in threads.
#include "check.h"

enum { kThreads = 30, kBlocks = 400 };

static void* allocates(void* argument) {
  char** blocks = malloc(kBlocks * sizeof *blocks);
  for (int i = 0; i < kBlocks; i++) {
    size_t size = (size_t)(1 + (i * 37 + as_long(argument) * 101) % 3000);
    blocks[i] = malloc(size + sizeof size);
    memcpy(blocks[i], &size, sizeof size);
    memset(blocks[i] + sizeof size, (int)(size % 251), size);
    if (i % 50 == 0) sched_yield();
  }
  return blocks;
}

static void* frees(void* argument) {
  char** blocks = argument;
  long wrong = 0;
  for (int i = 0; i < kBlocks; i++) {
    size_t size;
    memcpy(&size, blocks[i], sizeof size);
    for (size_t k = 0; k < size; k++) wrong += blocks[i][sizeof size + k] != (char)(size % 251);
    if (i % 3 == 0) blocks[i] = realloc(blocks[i], size * 2 + sizeof size);
    free(blocks[i]);
    if (i % 50 == 0) sched_yield();
  }
  free(blocks);
  return as_pointer(wrong);
}

static int compare(const void* a, const void* b) {
  unsigned x = *(const unsigned*)a, y = *(const unsigned*)b;
  return x < y ? -1 : x > y;
}

static void* sorts(void* argument) {
  enum { kCount = 60000 };
  unsigned* numbers = malloc(kCount * sizeof *numbers);
  unsigned state = (unsigned)as_long(argument) + 1;
  for (int i = 0; i < kCount; i++) numbers[i] = state = state * 1664525u + 1013904223u;
  qsort(numbers, kCount, sizeof *numbers, compare);
  long wrong = 0;
  for (int i = 1; i < kCount; i++) wrong += numbers[i - 1] > numbers[i];
  free(numbers);
  return as_pointer(wrong);
}

static void* churns(void* argument) {
  // Threads that come and go, each leaving something in the allocator's per-thread cache.
  for (int i = 0; i < 30; i++) free(malloc((size_t)(16 * (1 + (i + as_long(argument)) % 60))));
  return malloc(64);
}

int main(void) {
  pthread_t threads[kThreads];
  void* blocks[kThreads];
  long wrong = 0;
  for (int round = 0; round < 3; round++) {
    for (long i = 0; i < kThreads; i++) threads[i] = start_thread(allocates, as_pointer(i));
    for (int i = 0; i < kThreads; i++) blocks[i] = join_thread(threads[i]);
    // Freed by other threads than allocated them.
    for (int i = 0; i < kThreads; i++) threads[i] = start_thread(frees, blocks[kThreads - 1 - i]);
    for (int i = 0; i < kThreads; i++) wrong += as_long(join_thread(threads[i]));
  }
  say("wrong bytes %ld", wrong);
  for (long i = 0; i < 8; i++) threads[i] = start_thread(sorts, as_pointer(i));
  wrong = 0;
  for (int i = 0; i < 8; i++) wrong += as_long(join_thread(threads[i]));
  say("out of order %ld", wrong);
  for (long i = 0; i < 2000; i++) free(in_thread(churns, as_pointer(i)));
  say("churned");
  return finish();
}
