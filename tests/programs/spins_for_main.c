// SPDX-License-Identifier: Apache-2.0
// Threads wait by sched_yield for main, which computes, and all have one CPU: it is main's as good as alone.
#include "check.h"

#include <sched.h>
#include <stdatomic.h>

enum { kThreads = 3, kSteps = 200000000 };

static atomic_int ready;

static void* spins(void* argument) {
  while (!atomic_load(&ready)) sched_yield();
  return argument;
}

int main(void) {
  cpu_set_t allowed, one;
  MUST(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &one);
  MUST(sched_setaffinity(0, sizeof one, &one) == 0);

  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(spins, NULL);
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < kSteps; i++) sum += i;
  atomic_store(&ready, 1);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("main has computed %u", sum);
  return check_failures != 0;
}
