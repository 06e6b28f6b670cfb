// SPDX-License-Identifier: Apache-2.0
// Thread-specific data: values of one's own, destructors in rounds, keys made and deleted, fresh in every later thread.
#include "check.h"

#include <limits.h>

enum { kKeys = 60, kThreads = 300 };

static pthread_key_t keys[kKeys];
static long destroyed, destroyed_sum;
static pthread_key_t stubborn, chain[3], late;
static int stubborn_rounds, chain_order[3], chain_count;

static void destroy(void* value) {
  __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&destroyed_sum, as_long(value), __ATOMIC_RELAXED);
}

// Sets itself again each time: called PTHREAD_DESTRUCTOR_ITERATIONS times, no more.
static void destroy_stubborn(void* value) {
  stubborn_rounds++;
  pthread_setspecific(stubborn, value);
}

static void destroy_chain(void* value) {
  long index = as_long(value) - 1;
  chain_order[chain_count++] = (int)index;
  // The next link is set only now, so a further round is needed.
  if (index < 2) pthread_setspecific(chain[index + 1], as_pointer(index + 2));
}

static void* use_keys(void* argument) {
  long number = as_long(argument);
  for (int i = 0; i < kKeys; i++) {
    CHECK(pthread_getspecific(keys[i]) == NULL);
    CHECK(pthread_setspecific(keys[i], as_pointer(number * kKeys + i + 1)) == 0);
  }
  sched_yield();
  for (int i = 0; i < kKeys; i++) CHECK(as_long(pthread_getspecific(keys[i])) == number * kKeys + i + 1);
  // One value in three is taken back: no destructor for it.
  for (int i = 0; i < kKeys; i += 3) pthread_setspecific(keys[i], NULL);
  return NULL;
}

static void* set_stubborn(void* unused) {
  pthread_setspecific(stubborn, as_pointer(1));
  return unused;
}

static void* set_chain(void* unused) {
  pthread_setspecific(chain[0], as_pointer(1));
  return unused;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int slept_in_destructor;

// A destructor may do all that a thread may: lock, sleep, start another thread.
static void destroy_late(void* value) {
  struct timespec nap = {0, 1000000};
  pthread_mutex_lock(&lock);
  nanosleep(&nap, NULL);
  slept_in_destructor++;
  pthread_mutex_unlock(&lock);
  if (as_long(value) == 1) in_thread(set_stubborn, NULL);
}

static void* set_late(void* argument) {
  pthread_setspecific(late, argument);
  pthread_exit(NULL);
}

int main(void) {
  for (int i = 0; i < kKeys; i++) MUST(pthread_key_create(&keys[i], destroy) == 0);
  for (long i = 0; i < kThreads; i++) in_thread(use_keys, as_pointer(i));
  say("in sequence: %ld destructors, sum %ld", destroyed, destroyed_sum);
  destroyed = destroyed_sum = 0;
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(use_keys, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("at once: %ld destructors, sum %ld", destroyed, destroyed_sum);

  MUST(pthread_key_create(&stubborn, destroy_stubborn) == 0);
  in_thread(set_stubborn, NULL);
  say("stubborn: %d rounds, limit %d", stubborn_rounds, PTHREAD_DESTRUCTOR_ITERATIONS);
  for (int i = 0; i < 3; i++) MUST(pthread_key_create(&chain[i], destroy_chain) == 0);
  in_thread(set_chain, NULL);
  say("chain: %d %d %d", chain_order[0], chain_order[1], chain_order[2]);
  MUST(pthread_key_create(&late, destroy_late) == 0);
  for (long i = 0; i < 10; i++) threads[i] = start_thread(set_late, as_pointer(i + 1));
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("destructors that wait: %d, stubborn rounds %d", slept_in_destructor, stubborn_rounds);

  SHOW_ERROR(pthread_key_delete(keys[0]));
  SHOW_ERROR(pthread_key_delete(keys[0]));
  SHOW_ERROR(pthread_setspecific(keys[0], &lock));
  SHOW(pthread_getspecific(keys[0]) == NULL);
  // A key made anew has no value from the time before.
  MUST(pthread_key_create(&keys[0], destroy) == 0);
  SHOW(pthread_getspecific(keys[0]) == NULL);
  in_thread(use_keys, as_pointer(1));
  int made = 0, error;
  pthread_key_t more;
  while ((error = pthread_key_create(&more, NULL)) == 0) made++;
  say("after some more keys: %s, at least 900: %d", name_of_errno(error), made >= 900);
  return finish();
}
