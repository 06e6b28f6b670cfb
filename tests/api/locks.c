// SPDX-License-Identifier: Apache-2.0
// Mutexes, conditions, semaphores, rwlocks, once and wait groups: results, errors, the ends of their waits, and sharing between coroutines,
// pinned ones and threads.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static co_mutex_t mutex = CO_MUTEX_INIT;
static co_cond_t cond = CO_COND_INIT;
static co_sem_t sem = CO_SEM_INIT(0);
static co_rwlock_t rwlock = CO_RWLOCK_INIT;
static co_wait_group_t group = CO_WAIT_GROUP_INIT;

static int lock_it(void) { return co_mutex_lock(&mutex); }
static int wait_sem(void) { return co_sem_wait(&sem); }
static int read_it(void) { return co_rwlock_rdlock(&rwlock); }
static int write_it(void) { return co_rwlock_wrlock(&rwlock); }
static int wait_group(void) { return co_wait_group_wait(&group); }
static int wait_cond(void) {
  EQUAL(co_mutex_lock(&mutex), 0);
  int error = co_cond_wait(&cond, &mutex);
  EQUAL(co_mutex_unlock(&mutex), 0);  // held with an error too
  return error;
}

static void* call(void* wait) { return (void*)(intptr_t)((int (*)(void))wait)(); }
static int call_limited(void* wait) { return ((int (*)(void))wait)(); }
static void* pin_and_call(void* wait) {
  pin_me();
  return call(wait);
}
static void* limit_and_call(void* wait) { return (void*)(intptr_t)co_with_deadline(kMillisecond, call_limited, wait); }
static void* pin_limit_and_call(void* wait) {
  pin_me();
  return limit_and_call(wait);
}

// A wait that nobody ends ends by a cancellation, before and during it, and by a deadline.
static void ends(int (*wait)(void)) {
  for (int pinned = 0; pinned < 2; pinned++) {
    for (int early = 0; early < 2; early++) {
      co_t waits = begin(pinned ? pin_and_call : call, (void*)wait);
      if (!early) settle();
      EQUAL(co_cancel(waits), 0);
      EQUAL((intptr_t)end(waits), ECANCELED);
    }
    EQUAL((intptr_t)end(begin(pinned ? pin_limit_and_call : limit_and_call, (void*)wait)), ETIMEDOUT);
  }
}

static void results(void) {
  EQUAL(co_mutex_unlock(&mutex), EPERM);
  EQUAL(co_mutex_trylock(&mutex), 0);
  EQUAL(co_mutex_trylock(&mutex), EBUSY);
  EQUAL(co_mutex_unlock(&mutex), 0);
  EQUAL(co_mutex_lock(&mutex), 0);
  EQUAL(co_mutex_trylock(&mutex), EBUSY);
  EQUAL(co_mutex_unlock(&mutex), 0);

  EQUAL(co_cond_wait(&cond, &mutex), EPERM);
  EQUAL(co_cond_signal(&cond), 0);
  EQUAL(co_cond_broadcast(&cond), 0);

  EQUAL(co_sem_trywait(&sem), EAGAIN);
  EQUAL(co_sem_post(&sem), 0);
  EQUAL(co_sem_post(&sem), 0);
  EQUAL(co_sem_wait(&sem), 0);
  EQUAL(co_sem_trywait(&sem), 0);
  EQUAL(co_sem_trywait(&sem), EAGAIN);
  co_sem_t full = CO_SEM_INIT(UINT32_MAX);
  EQUAL(co_sem_post(&full), EOVERFLOW);

  EQUAL(co_rwlock_unlock(&rwlock), EPERM);
  EQUAL(co_rwlock_rdlock(&rwlock), 0);
  EQUAL(co_rwlock_tryrdlock(&rwlock), 0);
  EQUAL(co_rwlock_trywrlock(&rwlock), EBUSY);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_wrlock(&rwlock), 0);
  EQUAL(co_rwlock_tryrdlock(&rwlock), EBUSY);
  EQUAL(co_rwlock_trywrlock(&rwlock), EBUSY);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_trywrlock(&rwlock), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_unlock(&rwlock), EPERM);

  EQUAL(co_wait_group_wait(&group), 0);
  EQUAL(co_wait_group_done(&group), EINVAL);
  EQUAL(co_wait_group_add(&group, -1), EINVAL);
  EQUAL(co_wait_group_add(&group, INT32_MAX), 0);
  EQUAL(co_wait_group_add(&group, INT32_MAX), 0);
  EQUAL(co_wait_group_add(&group, INT32_MAX), EOVERFLOW);
  EQUAL(co_wait_group_add(&group, -INT32_MAX), 0);
  EQUAL(co_wait_group_add(&group, -INT32_MAX), 0);
  EQUAL(co_wait_group_add(&group, 1), 0);
  EQUAL(co_wait_group_done(&group), 0);
  EQUAL(co_wait_group_wait(&group), 0);
}

static void waits_end(void) {
  EQUAL(co_mutex_lock(&mutex), 0);
  ends(lock_it);
  EQUAL(co_mutex_unlock(&mutex), 0);
  ends(wait_cond);
  ends(wait_sem);
  EQUAL(co_rwlock_wrlock(&rwlock), 0);
  ends(read_it);
  ends(write_it);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_rdlock(&rwlock), 0);
  ends(write_it);
  // The writer that gave up holds no reader back.
  EQUAL(co_rwlock_tryrdlock(&rwlock), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  EQUAL(co_wait_group_add(&group, 1), 0);
  ends(wait_group);
  EQUAL(co_wait_group_done(&group), 0);
}

// A condition's waiter whose deadline has passed waits for the mutex without spinning.
static int wait_behind_holder(void* unused) {
  (void)unused;
  EQUAL(co_mutex_lock(&mutex), 0);
  EQUAL(co_cond_wait(&cond, &mutex), ETIMEDOUT);
  EQUAL(co_mutex_trylock(&mutex), EBUSY);
  EQUAL(co_mutex_unlock(&mutex), 0);
  return 0;
}
static void* limited_waiter(void* started) {
  atomic_store((atomic_int*)started, 1);
  return (void*)(intptr_t)co_with_deadline(10 * kMillisecond, wait_behind_holder, NULL);
}
static void condition_behind_holder(void) {
  atomic_int started = 0;
  co_t waits = begin(limited_waiter, &started);
  while (!atomic_load(&started)) co_yield ();
  EQUAL(co_sleep(5 * kMillisecond), 0);
  EQUAL(co_mutex_lock(&mutex), 0);
  EQUAL(co_sleep(20 * kMillisecond), 0);
  EQUAL(co_mutex_unlock(&mutex), 0);
  end(waits);
}

// Unwound out of a wait for a condition, its cleanup handlers run with the mutex held.
static void unlock_held(void* unused) {
  (void)unused;
  EQUAL(co_mutex_trylock(&mutex), EBUSY);
  EQUAL(co_mutex_unlock(&mutex), 0);
}
static void* wait_to_be_unwound(void* unused) {
  EQUAL(co_mutex_lock(&mutex), 0);
  pthread_cleanup_push(unlock_held, unused);
  for (;;) co_cond_wait(&cond, &mutex);
  pthread_cleanup_pop(0);
  return NULL;
}
static void* handle_and_wait(void* handle) {
  *(pthread_t*)handle = pthread_self();
  EQUAL(co_sem_post(&sem), 0);
  return wait_to_be_unwound(NULL);
}
static void unwound(void) {
  pthread_t handle;
  co_t waits = begin(handle_and_wait, &handle);
  EQUAL(co_sem_wait(&sem), 0);
  settle();
  EQUAL(pthread_cancel(handle), 0);
  CHECK(end(waits) == PTHREAD_CANCELED);
  EQUAL(co_mutex_trylock(&mutex), 0);
  EQUAL(co_mutex_unlock(&mutex), 0);
}

// Shared by all kinds of callers.
enum { kRounds = 400, kEach = 4 };
static long shared_count, readers_in;
static co_once_t once_state = CO_ONCE_INIT;
static atomic_int once_calls;
static void once_body(void) {
  atomic_fetch_add(&once_calls, 1);
  EQUAL(co_sleep(kMillisecond), 0);
}

static void* share(void* unused) {
  (void)unused;
  for (int i = 0; i < kRounds; i++) {
    EQUAL(co_mutex_lock(&mutex), 0);
    shared_count++;
    if (i % 16 == 0) co_yield ();
    EQUAL(co_mutex_unlock(&mutex), 0);
    if (i % 4) {
      EQUAL(co_rwlock_rdlock(&rwlock), 0);
      CHECK(__atomic_load_n(&readers_in, __ATOMIC_RELAXED) >= 0);
      if (i % 16 == 1) co_yield ();
    } else {
      EQUAL(co_rwlock_wrlock(&rwlock), 0);
      __atomic_store_n(&readers_in, -1, __ATOMIC_RELAXED);
      if (i % 16 == 0) co_yield ();
      __atomic_store_n(&readers_in, 0, __ATOMIC_RELAXED);
    }
    EQUAL(co_rwlock_unlock(&rwlock), 0);
  }
  EQUAL(co_once(&once_state, once_body), 0);
  EQUAL(atomic_load(&once_calls), 1);
  EQUAL(co_wait_group_done(&group), 0);
  return NULL;
}
static void* share_pinned(void* unused) {
  pin_me();
  return share(unused);
}
static void* share_on_thread(void* unused) {
  EQUAL(co_self(), 0);
  return share(unused);
}

static void shared(void) {
  pthread_t thread[kEach];
  co_t made[2 * kEach];
  shared_count = 0;
  once_state = (co_once_t)CO_ONCE_INIT;
  atomic_store(&once_calls, 0);
  EQUAL(co_wait_group_add(&group, 3 * kEach), 0);
  for (int i = 0; i < kEach; i++) {
    MUST(pthread_create(&thread[i], NULL, share_on_thread, NULL) == 0);
    made[2 * i] = begin(share, NULL);
    made[2 * i + 1] = begin(share_pinned, NULL);
  }
  EQUAL(co_wait_group_wait(&group), 0);
  EQUAL(shared_count, 3 * kEach * kRounds);
  for (int i = 0; i < kEach; i++) {
    MUST(pthread_join(thread[i], NULL) == 0);
    end(made[2 * i]);
    end(made[2 * i + 1]);
  }
}

// A token goes round: each takes it by the condition and passes it on.
static long turn;
static void* take_turns(void* number) {
  for (int round = 0; round < 50; round++) {
    EQUAL(co_mutex_lock(&mutex), 0);
    while (turn % 3 != (intptr_t)number) EQUAL(co_cond_wait(&cond, &mutex), 0);
    turn++;
    EQUAL(co_cond_broadcast(&cond), 0);
    EQUAL(co_mutex_unlock(&mutex), 0);
    EQUAL(co_sem_post(&sem), 0);
  }
  return NULL;
}
static void* take_turns_pinned(void* number) {
  pin_me();
  return take_turns(number);
}
static void turns(void) {
  pthread_t thread;
  turn = 0;
  MUST(pthread_create(&thread, NULL, take_turns, (void*)0) == 0);
  co_t one = begin(take_turns, (void*)1), other = begin(take_turns_pinned, (void*)2);
  for (int i = 0; i < 150; i++) EQUAL(co_sem_wait(&sem), 0);
  EQUAL(co_sem_trywait(&sem), EAGAIN);
  MUST(pthread_join(thread, NULL) == 0);
  end(one);
  end(other);
  EQUAL(turn, 150);
}

// A writer that waits goes before a reader that comes after it.
static atomic_int order;
static void* writer(void* started) {
  atomic_store((atomic_int*)started, 1);
  EQUAL(co_rwlock_wrlock(&rwlock), 0);
  EQUAL(atomic_fetch_add(&order, 1), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  return NULL;
}
static void* reader(void* unused) {
  (void)unused;
  EQUAL(co_rwlock_rdlock(&rwlock), 0);
  EQUAL(atomic_fetch_add(&order, 1), 1);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  return NULL;
}
static void writers_first(void) {
  atomic_int started = 0;
  atomic_store(&order, 0);
  EQUAL(co_rwlock_rdlock(&rwlock), 0);
  co_t writes = begin(writer, &started);
  // It waits when a reader can no longer get in.
  while (co_rwlock_tryrdlock(&rwlock) == 0) {
    EQUAL(co_rwlock_unlock(&rwlock), 0);
    co_yield ();
  }
  co_t reads = begin(reader, NULL);
  settle();
  EQUAL(atomic_load(&order), 0);
  EQUAL(co_rwlock_unlock(&rwlock), 0);
  end(writes);
  end(reads);
}

int main(void) {
  EQUAL(co_self(), 0);
  anywhere(results);
  anywhere(waits_end);
  anywhere(condition_behind_holder);
  anywhere(unwound);
  anywhere(shared);
  anywhere(turns);
  anywhere(writers_first);
  return finish();
}
