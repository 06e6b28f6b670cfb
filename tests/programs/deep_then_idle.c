// SPDX-License-Identifier: Apache-2.0
// Threads that once went deep into their stacks and then wait for long: what they hold above the stack pointer is there when they go on,
// and what they dirtied below it need not stay with them.
//
// Usage: deep_then_idle [contexts]   contexts: one of them waits in a context of its own, on a part of its stack
#include "check.h"

#include <semaphore.h>
#include <ucontext.h>

enum { kThreads = 300, kDeep = 200 << 10, kHeld = 16 << 10, kRounds = 3 };

static int own_contexts;
static sem_t deep;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int round_now;

__attribute__((noinline)) static long dig(long number) {
  volatile char depth[kDeep];
  for (int i = 0; i < kDeep; i += 512) depth[i] = (char)number;
  return depth[kDeep - 512];
}

static void wait_for_round(int wanted) {
  sem_post(&deep);
  pthread_mutex_lock(&lock);
  while (round_now < wanted) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void* goes_deep(void* argument) {
  char number = (char)as_long(argument), held[kHeld];
  memset(held, number, sizeof held);
  for (int turn = 1; turn <= kRounds; turn++) {
    CHECK(dig(number) == number);
    wait_for_round(turn);
    for (int i = 0; i < kHeld; i++)
      if (held[i] != number) {
        CHECK(held[i] == number);
        break;
      }
  }
  return NULL;
}

static ucontext_t outside, inside;

static void in_context(void) {
  for (int turn = 1; turn <= kRounds; turn++) wait_for_round(turn);
}

// The frames it comes from lie below the array that the context runs on.
__attribute__((noinline)) static int through_context(int value) {
  volatile int kept[4096];
  for (int i = 0; i < 4096; i++) kept[i] = value + i;
  swapcontext(&outside, &inside);
  for (int i = 0; i < 4096; i++)
    if (kept[i] != value + i) return 0;
  return 1;
}

static void* waits_in_context(void* unused) {
  (void)unused;
  char stack[256 << 10];
  MUST(getcontext(&inside) == 0);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = sizeof stack;
  inside.uc_link = &outside;
  makecontext(&inside, in_context, 0);
  CHECK(through_context(7));
  return NULL;
}

static long resident_kb(void) {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  MUST(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
  fclose(file);
  return pages * 4;
}

int main(int argc, char** argv) {
  own_contexts = argc > 1 && strcmp(argv[1], "contexts") == 0;
  sem_init(&deep, 0, 0);
  pthread_t threads[kThreads + 1];
  int count = 0;
  for (; count < kThreads; count++) threads[count] = start_thread(goes_deep, as_pointer(count % 100 + 1));
  if (own_contexts) threads[count++] = start_thread(waits_in_context, NULL);
  for (int turn = 1; turn <= kRounds; turn++) {
    for (int i = 0; i < count; i++) sem_wait(&deep);
    long all = resident_kb();
    // Natively it does not come back.
    struct timespec nap = {0, 20000000};
    for (int naps = turn > 1       ? 25
                    : own_contexts ? 75
                                   : 200;
         naps && all - resident_kb() < kThreads * kDeep / 1024 * 3 / 4; naps--)
      nanosleep(&nap, NULL);
    pthread_mutex_lock(&lock);
    round_now = turn;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  for (int i = 0; i < count; i++) join_thread(threads[i]);
  say("all there");
  return finish();
}
