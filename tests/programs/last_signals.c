// SPDX-License-Identifier: Apache-2.0
// Signals of the process at a thread's end. Those that main blocks and one thread does not are all handled by it, if they were sent
// before what lets it end. And when main has left, what the last thread's end makes the process do it does with that thread's mask: a
// signal it sends itself there ends it. kill() of a thread's number is a signal to its process.
#include "check.h"

#include <signal.h>
#include <sched.h>

enum { kRounds = 200, kEach = 20 };

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int handled;
static pid_t number;

static void on_signal(int unused) {
  (void)unused;
  __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void* open_to_it(void* unused) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  __atomic_store_n(&number, gettid(), __ATOMIC_RELEASE);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  return unused;
}

static void at_exit(void) {
  say("atexit");
  kill(getpid(), SIGUSR1);
  say("not ended by its own signal");
}

static void* joins_main(void* main_thread) {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  CHECK(pthread_join(*(pthread_t*)main_thread, NULL) == 0);
  say("main has ended");
  return NULL;
}

int main(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  struct sigaction action = {.sa_handler = on_signal};
  MUST(sigaction(SIGRTMIN, &action, NULL) == 0);
  for (int round = 0; round < kRounds; round++) {
    pthread_mutex_lock(&gate);
    __atomic_store_n(&number, 0, __ATOMIC_RELAXED);
    pthread_t thread = start_thread(open_to_it, NULL);
    pid_t target;
    while ((target = __atomic_load_n(&number, __ATOMIC_ACQUIRE)) == 0) sched_yield();
    for (int i = 0; i < kEach; i++) MUST(kill(i % 2 ? getpid() : target, SIGRTMIN) == 0);
    pthread_mutex_unlock(&gate);
    join_thread(thread);
    CHECK(handled == (round + 1) * kEach);
  }
  say("%d signals handled", handled);
  static pthread_t self;
  self = pthread_self();
  atexit(at_exit);
  start_thread(joins_main, &self);
  pthread_exit(NULL);
}
