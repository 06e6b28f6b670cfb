// SPDX-License-Identifier: Apache-2.0
// Threads that wait by spinning for what another thread does next: with sched_yield, with a pause, with nothing at all.
#include "check.h"

#include <sched.h>
#include <threads.h>

static int turn;

static void* by_yield(void* argument) {
  for (int i = 0; i < 200; i++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != as_long(argument)) sched_yield();
    __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void* by_c11_yield(void* argument) {
  for (int i = 0; i < 200; i++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != as_long(argument)) thrd_yield();
    __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void* by_nothing(void* argument) {
  for (int i = 0; i < 10; i++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != as_long(argument)) {
    }
    __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void* by_short_sleeps(void* argument) {
  struct timespec nap = {0, 1000};
  for (int i = 0; i < 100; i++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != as_long(argument)) nanosleep(&nap, NULL);
    __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void* by_zero_sleep(void* argument) {
  struct timespec none = {0, 0};
  for (int i = 0; i < 100; i++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != as_long(argument)) nanosleep(&none, NULL);
    __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void pair_of(const char* what, thread_start start) {
  turn = 0;
  pthread_t first = start_thread(start, as_pointer(0)), second = start_thread(start, as_pointer(1));
  join_thread(first);
  join_thread(second);
  say("%s: %d turns", what, turn);
}

static int flag;

static void* sets_flag(void* unused) {
  __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
  return unused;
}

static void* waits_for_flag(void* unused) {
  while (!__atomic_load_n(&flag, __ATOMIC_ACQUIRE)) {
  }
  return unused;
}

int main(void) {
  pair_of("sched_yield", by_yield);
  pair_of("thrd_yield", by_c11_yield);
  pair_of("nothing at all", by_nothing);
  pair_of("short sleeps", by_short_sleeps);
  pair_of("zero sleeps", by_zero_sleep);
  pthread_t waiters[6];
  for (int i = 0; i < 6; i++) waiters[i] = start_thread(waits_for_flag, NULL);
  in_thread(sets_flag, NULL);
  for (int i = 0; i < 6; i++) join_thread(waiters[i]);
  say("six waited for a flag");
  return finish();
}
