// SPDX-License-Identifier: Apache-2.0
// Two threads that always make each other ready, and one that is ready all the while: it gets its turn after few of theirs. Counted in
// turns, of which the median is taken: the processor may be taken from any of them.
#include "check.h"

#include <sched.h>
#include <semaphore.h>

enum { kRounds = 101, kFew = 20000 };

static sem_t sides[2];
static volatile long turns;
static volatile int over;

static void* plays(void* argument) {
  long side = as_long(argument);
  while (!over) {
    sem_wait(&sides[side]);
    turns++;
    sem_post(&sides[1 - side]);
  }
  return NULL;
}

static int compare(const void* a, const void* b) {
  long first = *(const long*)a, second = *(const long*)b;
  return (first > second) - (first < second);
}

static void* counts(void* unused) {
  static long waited[kRounds];
  while (turns == 0) sched_yield();
  for (int round = 0; round < kRounds; round++) {
    long before = turns;
    sched_yield();
    waited[round] = turns - before;
  }
  qsort(waited, kRounds, sizeof waited[0], compare);
  say("few turns of others: %s", waited[kRounds / 2] < kFew ? "yes" : "no");
  return unused;
}

int main(void) {
  pthread_t players[2];
  for (long side = 0; side < 2; side++) sem_init(&sides[side], 0, 0);
  for (long side = 0; side < 2; side++) players[side] = start_thread(plays, as_pointer(side));
  sem_post(&sides[0]);
  in_thread(counts, NULL);
  over = 1;
  for (int side = 0; side < 2; side++) sem_post(&sides[side]);
  for (int side = 0; side < 2; side++) join_thread(players[side]);
  return finish();
}
