// SPDX-License-Identifier: Apache-2.0
// The thread functions that no other program of this directory is about: every attribute set and read back, what older
// programs were linked against (symbols of an earlier version), and what fails with an error of its own. All of it in a thread.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <threads.h>

__asm__(".symver old_cond_init, pthread_cond_init@GLIBC_2.2.5");
__asm__(".symver old_cond_destroy, pthread_cond_destroy@GLIBC_2.2.5");
__asm__(".symver old_cond_wait, pthread_cond_wait@GLIBC_2.2.5");
__asm__(".symver old_cond_timedwait, pthread_cond_timedwait@GLIBC_2.2.5");
__asm__(".symver old_cond_signal, pthread_cond_signal@GLIBC_2.2.5");
__asm__(".symver old_cond_broadcast, pthread_cond_broadcast@GLIBC_2.2.5");
__asm__(".symver old_kill, pthread_kill@GLIBC_2.2.5");
__asm__(".symver old_create, pthread_create@GLIBC_2.2.5");
__asm__(".symver old_join, pthread_join@GLIBC_2.2.5");
__asm__(".symver old_sem_wait, sem_wait@GLIBC_2.2.5");
__asm__(".symver old_sem_post, sem_post@GLIBC_2.2.5");
__asm__(".symver old_getaffinity, pthread_getaffinity_np@GLIBC_2.3.3");
__asm__(".symver old_setaffinity, pthread_setaffinity_np@GLIBC_2.3.3");
__asm__(".symver old_attr_getaffinity, pthread_attr_getaffinity_np@GLIBC_2.3.3");
__asm__(".symver old_attr_setaffinity, pthread_attr_setaffinity_np@GLIBC_2.3.3");
int old_cond_init(pthread_cond_t*, const pthread_condattr_t*);
int old_cond_destroy(pthread_cond_t*);
int old_cond_wait(pthread_cond_t*, pthread_mutex_t*);
int old_cond_timedwait(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
int old_cond_signal(pthread_cond_t*);
int old_cond_broadcast(pthread_cond_t*);
int old_kill(pthread_t, int);
int old_create(pthread_t*, const pthread_attr_t*, thread_start, void*);
int old_join(pthread_t, void**);
int old_sem_wait(sem_t*);
int old_sem_post(sem_t*);
int old_getaffinity(pthread_t, cpu_set_t*);
int old_setaffinity(pthread_t, const cpu_set_t*);
int old_attr_getaffinity(pthread_attr_t*, cpu_set_t*);
int old_attr_setaffinity(pthread_attr_t*, const cpu_set_t*);

// Reads the attribute, sets each of the two values, and reads it again; then one that is none.
#define ROUND_TRIP(attributes, get, set, first, second, wrong)                      \
  do {                                                                              \
    int value = -1;                                                                 \
    SHOW_ERROR(get(attributes, &value));                                            \
    say("  by default %d", value);                                                  \
    const int tried[] = {first, second, wrong};                                     \
    for (int i = 0; i < 3; i++) {                                                   \
      say("  " #set " %d: %s", tried[i], name_of_errno(set(attributes, tried[i]))); \
      CHECK(get(attributes, &value) == 0);                                          \
      say("  then %d", value);                                                      \
    }                                                                               \
  } while (0)

static void thread_attributes(void) {
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  ROUND_TRIP(&attributes, pthread_attr_getdetachstate, pthread_attr_setdetachstate, 1, 0, 7);
  ROUND_TRIP(&attributes, pthread_attr_getinheritsched, pthread_attr_setinheritsched, 1, 0, 7);
  ROUND_TRIP(&attributes, pthread_attr_getschedpolicy, pthread_attr_setschedpolicy, SCHED_RR, SCHED_OTHER, 77);
  ROUND_TRIP(&attributes, pthread_attr_getscope, pthread_attr_setscope, PTHREAD_SCOPE_PROCESS, PTHREAD_SCOPE_SYSTEM, 7);
  struct sched_param parameter = {5};
  SHOW_ERROR(pthread_attr_setschedparam(&attributes, &parameter));
  parameter.sched_priority = 0;
  SHOW_ERROR(pthread_attr_setschedparam(&attributes, &parameter));
  SHOW_ERROR(pthread_attr_getschedparam(&attributes, &parameter));
  say("priority %d", parameter.sched_priority);
  size_t size = 0;
  void* address = NULL;
  static char room[1 << 16];
  SHOW_ERROR(pthread_attr_setguardsize(&attributes, 12345));
  SHOW_ERROR(pthread_attr_getguardsize(&attributes, &size));
  say("guard %zu", size);
  SHOW_ERROR(pthread_attr_setstacksize(&attributes, 1));
  SHOW_ERROR(pthread_attr_setstacksize(&attributes, 1 << 17));
  SHOW_ERROR(pthread_attr_getstacksize(&attributes, &size));
  say("size %zu", size);
  SHOW_ERROR(pthread_attr_setstackaddr(&attributes, room + sizeof room));
  SHOW_ERROR(pthread_attr_getstackaddr(&attributes, &address));
  CHECK(address == room + sizeof room);
  SHOW_ERROR(pthread_attr_setstack(&attributes, room, sizeof room));
  SHOW_ERROR(pthread_attr_getstack(&attributes, &address, &size));
  CHECK(address == room && size == sizeof room);
  sigset_t signals, read_back;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  say("mask: %d", pthread_attr_getsigmask_np(&attributes, &read_back));
  SHOW_ERROR(pthread_attr_setsigmask_np(&attributes, &signals));
  SHOW_ERROR(pthread_attr_getsigmask_np(&attributes, &read_back));
  say("SIGUSR1 %d, SIGUSR2 %d", sigismember(&read_back, SIGUSR1), sigismember(&read_back, SIGUSR2));
  SHOW_ERROR(pthread_attr_setsigmask_np(&attributes, NULL));
  say("mask: %d", pthread_attr_getsigmask_np(&attributes, &read_back));
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  SHOW_ERROR(pthread_attr_getaffinity_np(&attributes, sizeof cpus, &cpus));
  say("all processors: %d", CPU_COUNT(&cpus) == CPU_SETSIZE);
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  SHOW_ERROR(pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus));
  CPU_ZERO(&cpus);
  SHOW_ERROR(old_attr_getaffinity(&attributes, &cpus));
  say("processors %d", CPU_COUNT(&cpus));
  SHOW_ERROR(old_attr_setaffinity(&attributes, &cpus));
  CHECK(pthread_attr_destroy(&attributes) == 0);

  SHOW_ERROR(pthread_getattr_default_np(&attributes));
  SHOW_ERROR(pthread_attr_getdetachstate(&attributes, (int*)&size));
  SHOW_ERROR(pthread_attr_getstacksize(&attributes, &size));
  say("default size %zu", size);
  SHOW_ERROR(pthread_attr_destroy(&attributes));
  SHOW(pthread_getconcurrency());
  SHOW_ERROR(pthread_setconcurrency(-1));
  SHOW_ERROR(pthread_setconcurrency(3));
  SHOW(pthread_getconcurrency());
  SHOW_ERROR(pthread_setconcurrency(0));
}

static void lock_attributes(void) {
  pthread_mutexattr_t of_mutex;
  CHECK(pthread_mutexattr_init(&of_mutex) == 0);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_gettype, pthread_mutexattr_settype, PTHREAD_MUTEX_RECURSIVE,
             PTHREAD_MUTEX_ADAPTIVE_NP, 9);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_getpshared, pthread_mutexattr_setpshared, 1, 0, 9);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_getrobust, pthread_mutexattr_setrobust, 1, 0, 9);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_getrobust_np, pthread_mutexattr_setrobust_np, 1, 0, 9);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_getprotocol, pthread_mutexattr_setprotocol, PTHREAD_PRIO_INHERIT,
             PTHREAD_PRIO_PROTECT, 9);
  ROUND_TRIP(&of_mutex, pthread_mutexattr_getprioceiling, pthread_mutexattr_setprioceiling, 1, 2, 1000);
  pthread_mutex_t mutex;
  int ceiling = -1;
  SHOW_ERROR(pthread_mutex_init(&mutex, &of_mutex));
  SHOW_ERROR(pthread_mutex_getprioceiling(&mutex, &ceiling));
  say("ceiling %d", ceiling);
  SHOW_ERROR(pthread_mutex_setprioceiling(&mutex, 1000, &ceiling));
  SHOW_ERROR(pthread_mutex_destroy(&mutex));
  CHECK(pthread_mutexattr_destroy(&of_mutex) == 0);
  SHOW_ERROR(pthread_mutex_init(&mutex, NULL));
  SHOW_ERROR(pthread_mutex_getprioceiling(&mutex, &ceiling));
  SHOW_ERROR(pthread_mutex_setprioceiling(&mutex, 2, &ceiling));
  SHOW_ERROR(pthread_mutex_consistent(&mutex));
  SHOW_ERROR(pthread_mutex_consistent_np(&mutex));
  SHOW_ERROR(pthread_mutex_destroy(&mutex));

  pthread_condattr_t of_condition;
  CHECK(pthread_condattr_init(&of_condition) == 0);
  ROUND_TRIP(&of_condition, pthread_condattr_getclock, pthread_condattr_setclock, CLOCK_MONOTONIC, CLOCK_REALTIME,
             CLOCK_THREAD_CPUTIME_ID);
  ROUND_TRIP(&of_condition, pthread_condattr_getpshared, pthread_condattr_setpshared, 1, 0, 9);
  CHECK(pthread_condattr_destroy(&of_condition) == 0);
  pthread_rwlockattr_t of_rwlock;
  CHECK(pthread_rwlockattr_init(&of_rwlock) == 0);
  ROUND_TRIP(&of_rwlock, pthread_rwlockattr_getkind_np, pthread_rwlockattr_setkind_np,
             PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP, PTHREAD_RWLOCK_PREFER_WRITER_NP, 9);
  ROUND_TRIP(&of_rwlock, pthread_rwlockattr_getpshared, pthread_rwlockattr_setpshared, 1, 0, 9);
  CHECK(pthread_rwlockattr_destroy(&of_rwlock) == 0);
  pthread_barrierattr_t of_barrier;
  CHECK(pthread_barrierattr_init(&of_barrier) == 0);
  ROUND_TRIP(&of_barrier, pthread_barrierattr_getpshared, pthread_barrierattr_setpshared, 1, 0, 9);
  CHECK(pthread_barrierattr_destroy(&of_barrier) == 0);
  pthread_barrier_t barrier;
  SHOW_ERROR(pthread_barrier_init(&barrier, NULL, 0));
  pthread_spinlock_t spin;
  SHOW_ERROR(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
  SHOW_ERROR(pthread_spin_lock(&spin));
  SHOW_ERROR(pthread_spin_trylock(&spin));
  SHOW_ERROR(pthread_spin_unlock(&spin));
  SHOW_ERROR(pthread_spin_destroy(&spin));
}

static void semaphores(void) {
  sem_t semaphore;
  int count = -1;
  SHOW(sem_init(&semaphore, 0, (unsigned)SEM_VALUE_MAX + 1));
  SHOW(sem_init(&semaphore, 0, SEM_VALUE_MAX));
  SHOW(sem_post(&semaphore));
  SHOW(sem_destroy(&semaphore));
  SHOW(sem_init(&semaphore, 0, 1));
  SHOW(old_sem_wait(&semaphore));
  SHOW(sem_trywait(&semaphore));
  SHOW(old_sem_post(&semaphore));
  SHOW(sem_getvalue(&semaphore, &count));
  say("value %d", count);
  SHOW(sem_destroy(&semaphore));
  char name[32];
  snprintf(name, sizeof name, "/functions.%d", getpid());
  sem_t* named = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
  MUST(named != SEM_FAILED);
  CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED && errno == EEXIST);
  sem_t* again = sem_open(name, 0);
  say("the same address: %d", again == named);
  SHOW(sem_wait(named));
  SHOW(sem_trywait(again));
  SHOW(sem_close(again));
  CHECK(sem_unlink(name) == 0);
  CHECK(sem_unlink(name) == -1 && errno == ENOENT);
  CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
  SHOW(sem_close(named));
  CHECK(sem_open("/a/b", O_CREAT, 0600, 1) == SEM_FAILED && errno == EINVAL);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static int waiting, allowed;

static void* waits_of_old(void* unused) {
  CHECK(pthread_mutex_lock(&mutex) == 0);
  waiting++;
  CHECK(old_cond_signal(&condition) == 0);
  while (!allowed) CHECK(old_cond_wait(&condition, &mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  return unused;
}

static void old_versions(void) {
  struct timespec past = after_ms(CLOCK_REALTIME, -1);
  pthread_t threads[4];
  SHOW_ERROR(old_cond_init(&condition, NULL));
  CHECK(pthread_mutex_lock(&mutex) == 0);
  SHOW_ERROR(old_cond_timedwait(&condition, &mutex, &past));
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  for (int i = 0; i < 4; i++) CHECK(old_create(&threads[i], NULL, waits_of_old, as_pointer(i)) == 0);
  CHECK(pthread_mutex_lock(&mutex) == 0);
  // One that is to be told wakes another at times, so only the last knows that all wait.
  while (waiting < 4) {
    struct timespec soon = after_ms(CLOCK_REALTIME, 5);
    int error = old_cond_timedwait(&condition, &mutex, &soon);
    CHECK(error == 0 || error == ETIMEDOUT);
  }
  allowed = 1;
  SHOW_ERROR(old_cond_broadcast(&condition));
  SHOW_ERROR(old_kill(threads[0], 0));
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  for (int i = 0; i < 4; i++) {
    void* result = NULL;
    CHECK(old_join(threads[i], &result) == 0 && as_long(result) == i);
  }
  SHOW_ERROR(old_cond_destroy(&condition));
}

static void* of_itself(void* unused) {
  pthread_t self = pthread_self();
  struct timespec past = after_ms(CLOCK_REALTIME, -1);
  // Called directly both are comparisons that the compiler makes itself.
  int (*volatile equal)(pthread_t, pthread_t) = pthread_equal;
  int (*volatile equal_too)(thrd_t, thrd_t) = thrd_equal;
  SHOW(equal(self, pthread_self()) != 0);
  SHOW(equal_too(thrd_current(), self) != 0);
  SHOW_ERROR(pthread_join(self, NULL));
  SHOW_ERROR(pthread_timedjoin_np(self, NULL, &past));
  SHOW_ERROR(pthread_clockjoin_np(self, NULL, CLOCK_MONOTONIC, &past));
  SHOW_ERROR(pthread_tryjoin_np(self, NULL));
  clockid_t clock;
  struct timespec used;
  SHOW_ERROR(pthread_getcpuclockid(self, &clock));
  SHOW(clock_gettime(clock, &used));
  cpu_set_t cpus;
  SHOW_ERROR(old_getaffinity(self, &cpus));
  SHOW_ERROR(old_setaffinity(self, &cpus));
  return unused;
}

static int cleaned;
static void clean(void* by) { cleaned += (int)as_long(by); }

// The type of cancellation that a cleanup handler stands for, and the one after it.
static void* defers(void* cancelled) {
  int type = -1;
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type) == 0);
  pthread_cleanup_push_defer_np(clean, as_pointer(1));
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type) == 0);
  say("type within %d", type);
  if (cancelled) {
    CHECK(pthread_cancel(pthread_self()) == 0);
    say("not yet");
    pthread_testcancel();
  }
  pthread_cleanup_pop_restore_np(1);
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type) == 0);
  say("type afterwards %d", type);
  return NULL;
}

static void* cancels_within(void* unused) {
  int type;
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type) == 0);
  pthread_cleanup_push_defer_np(clean, as_pointer(10));
  CHECK(pthread_cancel(pthread_self()) == 0);
  say("cancelled, and still here");
  pthread_cleanup_pop_restore_np(0);
  say("not reached");
  return unused;
}

static void* all(void* unused) {
  thread_attributes();
  lock_attributes();
  semaphores();
  old_versions();
  in_thread(of_itself, NULL);
  say("came back: %d", in_thread(defers, NULL) == NULL);
  say("cancelled: %d", in_thread(defers, as_pointer(1)) == PTHREAD_CANCELED);
  say("cancelled: %d", in_thread(cancels_within, NULL) == PTHREAD_CANCELED);
  say("handlers %d", cleaned);
  return unused;
}

int main(void) {
  in_thread(all, NULL);
  return finish();
}
