// SPDX-License-Identifier: Apache-2.0
// A library whose functions have others inside of them, called by address: gcc writes a piece of code onto the stack for each, so the
// linker marks the library as one that needs executable stacks.
#include <stdlib.h>

static __attribute__((noinline)) long call(long (*function)(long), long argument) { return function(argument); }

long module_add(long first, long second);
long module_add(long first, long second) {
  volatile long seen = 0;
  long add(long argument) {
    seen++;
    return argument + second;
  }
  long sum = call(add, first);
  return seen == 1 ? sum : -1;
}

// Deep down, on a page of the stack that nobody has touched.
long module_add_below(long first, long second, long depth);
long module_add_below(long first, long second, long depth) {
  volatile char frame[3000];
  frame[0] = (char)depth;
  long sum = depth ? module_add_below(first, second, depth - 1) : module_add(first, second);
  return sum + frame[0] - (char)depth;
}

// Runs `function` of a caller's with the address of one of its own.
long module_lend(long (*function)(long (*)(long)), long value);
long module_lend(long (*function)(long (*)(long)), long value) {
  long own(long argument) { return argument * value; }
  return function(own);
}

static volatile long constructed;

__attribute__((constructor)) static void construct(void) { constructed = module_add(40, 2); }

long module_constructed(void);
long module_constructed(void) { return constructed; }
