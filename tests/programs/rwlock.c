// SPDX-License-Identifier: Apache-2.0
// Read-write locks: every call from owner and others, self-deadlock told, writers preferred where asked, and a crowd.
#include "check.h"

#include <semaphore.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t held, let_go;

static void* holder(void* argument) {
  CHECK((as_long(argument) ? pthread_rwlock_wrlock(&lock) : pthread_rwlock_rdlock(&lock)) == 0);
  sem_post(&held);
  sem_wait(&let_go);
  CHECK(pthread_rwlock_unlock(&lock) == 0);
  return NULL;
}

static void release_if(int error) {
  if (error == 0) CHECK(pthread_rwlock_unlock(&lock) == 0);
}

static void* others(void* unused) {
  struct timespec limit;
  release_if(SHOW_ERROR(pthread_rwlock_tryrdlock(&lock)));
  release_if(SHOW_ERROR(pthread_rwlock_trywrlock(&lock)));
  limit = after_ms(CLOCK_REALTIME, 30);
  release_if(SHOW_ERROR(pthread_rwlock_timedrdlock(&lock, &limit)));
  limit = after_ms(CLOCK_REALTIME, 30);
  release_if(SHOW_ERROR(pthread_rwlock_timedwrlock(&lock, &limit)));
  limit = after_ms(CLOCK_MONOTONIC, 30);
  release_if(SHOW_ERROR(pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &limit)));
  limit = after_ms(CLOCK_MONOTONIC, 30);
  release_if(SHOW_ERROR(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &limit)));
  limit.tv_nsec = 2000000000L;
  release_if(SHOW_ERROR(pthread_rwlock_timedwrlock(&lock, &limit)));
  release_if(SHOW_ERROR(pthread_rwlock_clockrdlock(&lock, CLOCK_PROCESS_CPUTIME_ID, &limit)));
  return unused;
}

static void* owner(void* unused) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  SHOW_ERROR(pthread_rwlock_wrlock(&lock));
  SHOW_ERROR(pthread_rwlock_wrlock(&lock));
  SHOW_ERROR(pthread_rwlock_rdlock(&lock));
  SHOW_ERROR(pthread_rwlock_tryrdlock(&lock));
  SHOW_ERROR(pthread_rwlock_trywrlock(&lock));
  SHOW_ERROR(pthread_rwlock_timedwrlock(&lock, &limit));
  SHOW_ERROR(pthread_rwlock_timedrdlock(&lock, &limit));
  SHOW_ERROR(pthread_rwlock_unlock(&lock));
  SHOW_ERROR(pthread_rwlock_rdlock(&lock));
  SHOW_ERROR(pthread_rwlock_rdlock(&lock));
  SHOW_ERROR(pthread_rwlock_trywrlock(&lock));
  SHOW_ERROR(pthread_rwlock_unlock(&lock));
  SHOW_ERROR(pthread_rwlock_unlock(&lock));
  SHOW_ERROR(pthread_rwlock_trywrlock(&lock));
  SHOW_ERROR(pthread_rwlock_unlock(&lock));
  return unused;
}

static long value, copy, readers_inside, most_readers, violations;

static void* reader(void* unused) {
  for (int i = 0; i < 300; i++) {
    pthread_rwlock_rdlock(&lock);
    long inside = __atomic_add_fetch(&readers_inside, 1, __ATOMIC_RELAXED);
    if (inside > __atomic_load_n(&most_readers, __ATOMIC_RELAXED))
      __atomic_store_n(&most_readers, inside, __ATOMIC_RELAXED);
    if (value != copy) __atomic_add_fetch(&violations, 1, __ATOMIC_RELAXED);
    if (i % 20 == 0) sched_yield();
    __atomic_sub_fetch(&readers_inside, 1, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&lock);
  }
  return unused;
}

static void* writer(void* unused) {
  for (int i = 0; i < 200; i++) {
    pthread_rwlock_wrlock(&lock);
    value++;
    if (i % 20 == 0) sched_yield();
    if (__atomic_load_n(&readers_inside, __ATOMIC_RELAXED) != 0) violations++;
    copy++;
    pthread_rwlock_unlock(&lock);
  }
  return unused;
}

static void crowd(void) {
  pthread_t threads[24];
  value = copy = 0;
  for (int i = 0; i < 24; i++) threads[i] = start_thread(i % 3 == 0 ? writer : reader, NULL);
  writer(NULL);
  for (int i = 0; i < 24; i++) join_thread(threads[i]);
  say("crowd: value %ld, violations %ld", value, violations);
}

// Two readers share: each holds the lock until the other has it too.
static pthread_barrier_t together;

static void* sharing_reader(void* unused) {
  pthread_rwlock_rdlock(&lock);
  pthread_barrier_wait(&together);
  pthread_rwlock_unlock(&lock);
  return unused;
}

static sem_t about_to_wait;
static int order[4], order_count;

static void* preferring_writer(void* unused) {
  sem_post(&about_to_wait);
  pthread_rwlock_wrlock(&lock);
  order[order_count++] = 'w';
  pthread_rwlock_unlock(&lock);
  return unused;
}

static void writers_first(void) {
  pthread_rwlockattr_t attribute;
  pthread_rwlockattr_init(&attribute);
  pthread_rwlockattr_setkind_np(&attribute, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  MUST(pthread_rwlock_init(&lock, &attribute) == 0);
  pthread_rwlock_rdlock(&lock);
  pthread_t thread = start_thread(preferring_writer, NULL);
  sem_wait(&about_to_wait);
  settle();
  settle();
  // The writer waits by now, so no further reader gets in.
  int error = pthread_rwlock_tryrdlock(&lock);
  say("reader beside a waiting writer: %s", name_of_errno(error));
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  error = pthread_rwlock_timedrdlock(&lock, &limit);
  say("and with time: %s", name_of_errno(error));
  pthread_rwlock_unlock(&lock);
  join_thread(thread);
  say("writer was in: %c", order[0]);
  SHOW_ERROR(pthread_rwlock_destroy(&lock));
  pthread_rwlock_init(&lock, NULL);
}

static void* all(void* unused) {
  for (long writing = 0; writing < 2; writing++) {
    say("-- held by another %s", writing ? "writer" : "reader");
    pthread_t thread = start_thread(holder, as_pointer(writing));
    sem_wait(&held);
    others(NULL);
    in_thread(others, NULL);
    sem_post(&let_go);
    join_thread(thread);
  }
  say("-- owner");
  owner(NULL);
  in_thread(owner, NULL);
  crowd();
  pthread_t sharing = start_thread(sharing_reader, NULL);
  sharing_reader(NULL);
  join_thread(sharing);
  say("two readers shared");
  order_count = 0;
  writers_first();
  return unused;
}

int main(void) {
  sem_init(&held, 0, 0);
  sem_init(&let_go, 0, 0);
  sem_init(&about_to_wait, 0, 0);
  pthread_barrier_init(&together, NULL, 2);
  all(NULL);
  in_thread(all, NULL);
  return finish();
}
