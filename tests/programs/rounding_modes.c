// SPDX-License-Identifier: Apache-2.0
// The rounding mode, the trapping exceptions and the x87 precision belong to the thread: a new one inherits them, waits and yields keep
// them, and a change in one thread is seen in no other.
#include "check.h"

#include <fenv.h>
#include <sched.h>

enum { kThreads = 12, kRounds = 200 };
static const int kModes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};

static unsigned short x87_word(void) {
  unsigned short word;
  __asm__ volatile("fnstcw %0" : "=m"(word));
  return word;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static double thirds[kThreads];

// fegetround asks the x87 unit, arithmetic is done by the other.
static void* inherits(void* argument) {
  volatile double one = 1, three = 3;
  *(double*)argument = one / three;
  return as_pointer(fegetround());
}

static void* rounds(void* argument) {
  long self = as_long(argument);
  int mode = kModes[self % 4];
  CHECK(fesetround(mode) == 0);
  unsigned short word = (unsigned short)((x87_word() & ~0x300) | (self % 2 ? 0x200 : 0x300));
  __asm__ volatile("fldcw %0" : : "m"(word));
  volatile double one = 1, three = 3;
  double first = one / three;
  for (int i = 0; i < kRounds; i++) {
    if (i % 2) {
      sched_yield();
    } else {
      pthread_mutex_lock(&mutex);
      while (turn % kThreads != self) pthread_cond_wait(&turned, &mutex);
      turn++;
      pthread_cond_broadcast(&turned);
      pthread_mutex_unlock(&mutex);
    }
    CHECK(fegetround() == mode && x87_word() == word && one / three == first);
  }
  thirds[self] = first;
  double inherited = 0;
  CHECK(as_long(join_thread(start_thread(inherits, &inherited))) == mode && inherited == first);
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(rounds, as_pointer(i));
  for (int i = 0; i < kThreads; i++) {
    join_thread(threads[i]);
    say("thread %d: 1/3 is %a", i, thirds[i]);
  }
  say("main: mode %#x", fegetround());
  fesetround(FE_UPWARD);
  double inherited = 0;
  long mode = as_long(join_thread(start_thread(inherits, &inherited)));
  say("inherited from main: %#lx, 1/3 is %a", mode, inherited);
  return check_failures != 0;
}
