// SPDX-License-Identifier: Apache-2.0
// Timers that signal one thread (SIGEV_THREAD_ID): the calling one, another one, one that waits, computes, has the signal blocked or
// has ended; what the handler is told, and overruns; and a timer of a thread's CPU time.
#include "check.h"

#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static __thread volatile sig_atomic_t handled;
static __thread siginfo_t last;
static sem_t ready, go, came;

static void notes(int number, siginfo_t* info, void* unused) {
  (void)number, (void)unused;
  last = *info;
  handled++;
  sem_post(&came);
}

static int make(timer_t* timer, clockid_t clock, int tid, int value) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN + 2;
  event.sigev_value.sival_int = value;
  event.sigev_notify_thread_id = tid;
  return timer_create(clock, &event, timer);
}

static void set(timer_t timer, long first_us, long every_us) {
  struct itimerspec spec = {{0, every_us * 1000}, {0, first_us * 1000}};
  MUST(timer_settime(timer, 0, &spec, NULL) == 0);
}

static void show_last(const char* what, timer_t timer) {
  say("%s: code %d, value %d, overrun %d, its own timer %d", what, last.si_code, last.si_value.sival_int,
      last.si_overrun, last.si_timerid == (int)(long)timer);
}

static void* signals_itself(void* unused) {
  timer_t timer, other;
  MUST(make(&timer, CLOCK_MONOTONIC, gettid(), 5) == 0);
  MUST(make(&other, CLOCK_MONOTONIC, gettid(), 6) == 0);
  set(timer, 1000, 0);
  while (!handled) usleep(100000);
  show_last("in a sleep", timer);
  set(timer, 1000, 0);
  while (handled < 2) {
  }
  show_last("in a computation", timer);
  struct itimerspec left;
  MUST(timer_gettime(timer, &left) == 0);
  say("left: %ld", left.it_value.tv_sec * 1000000000 + left.it_value.tv_nsec);

  // Blocked, and taken by sigwaitinfo: of each timer one, with what has been overrun.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGRTMIN + 2);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  set(timer, 1000, 1000);
  set(other, 500, 0);
  struct timespec until = after_ms(CLOCK_MONOTONIC, 30);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
  }
  for (int i = 0; i < 2; i++) {
    siginfo_t info;
    MUST(sigwaitinfo(&signals, &info) == SIGRTMIN + 2);
    timer_t its = info.si_value.sival_int == 5 ? timer : other;
    say("taken: value %d, overrun %d, timer_getoverrun the same %d", info.si_value.sival_int, info.si_overrun > 5,
        timer_getoverrun(its) == info.si_overrun);
  }
  set(timer, 0, 0);
  struct timespec none = {0, 0};
  siginfo_t info;
  SHOW(sigtimedwait(&signals, &info, &none));
  SHOW(timer_delete(timer));
  SHOW(timer_delete(timer));
  SHOW(timer_getoverrun(timer));
  SHOW(timer_delete(other));
  return unused;
}

static int tid_of_target;

static void* is_signalled(void* blocked) {
  tid_of_target = gettid();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGRTMIN + 2);
  if (blocked) pthread_sigmask(SIG_BLOCK, &signals, NULL);
  sem_post(&ready);
  while (sem_wait(&go) != 0) {
  }
  if (blocked) {
    say("blocked: %d", (int)handled);
    do {
      sched_yield();
      sigpending(&signals);
    } while (!sigismember(&signals, SIGRTMIN + 2));
    sigemptyset(&signals);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
  }
  say("handled: %d, value %d", (int)handled, last.si_value.sival_int);
  return blocked;
}

static void signals_another(int blocked) {
  timer_t timer;
  pthread_t thread = start_thread(is_signalled, as_pointer(blocked));
  sem_wait(&ready);
  MUST(make(&timer, CLOCK_REALTIME, tid_of_target, 8) == 0);
  set(timer, 500, 0);
  while (!blocked && sem_wait(&came) != 0) {
  }
  sem_post(&go);
  join_thread(thread);
  while (sem_trywait(&came) == 0) {
  }
  // A thread that has ended is signalled no more.
  set(timer, 500, 0);
  SHOW(timer_delete(timer));
}

static void* signals_another_from_a_thread(void* unused) {
  signals_another(0);
  signals_another(1);
  return unused;
}

// Each one may expire before the call that sets it has returned.
static void* sets_it_again_and_again(void* unused) {
  timer_t timer;
  MUST(make(&timer, CLOCK_MONOTONIC, gettid(), 3) == 0);
  for (int i = 0; i < 1500; i++) {
    struct itimerspec at_once = {{0, 0}, {0, 1}};
    MUST(timer_settime(timer, 0, &at_once, NULL) == 0);
    while (sem_wait(&came) != 0) {
    }
  }
  say("all of them came: %d", (int)handled);
  SHOW(timer_delete(timer));
  return unused;
}

static void* refuses(void* unused) {
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_notify_thread_id = gettid();
  event.sigev_signo = 999;
  SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
  SHOW(make(&timer, 4711, gettid(), 1));
  SHOW(make(&timer, CLOCK_MONOTONIC, 1, 1));
  return unused;
}

// A profiler's: each thread's own CPU time.
static void* counts_cpu(void* unused) {
  timer_t timer;
  MUST(make(&timer, CLOCK_THREAD_CPUTIME_ID, gettid(), 9) == 0);
  set(timer, 2000, 2000);
  long before = handled;
  while (handled < before + 5) {
  }
  say("CPU time: value %d, code %d", last.si_value.sival_int, last.si_code);
  SHOW(timer_delete(timer));
  return unused;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = notes;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  MUST(sigaction(SIGRTMIN + 2, &action, NULL) == 0);
  sem_init(&ready, 0, 0);
  sem_init(&go, 0, 0);
  sem_init(&came, 0, 0);
  in_thread(signals_itself, NULL);
  while (sem_trywait(&came) == 0) {
  }
  in_thread(sets_it_again_and_again, NULL);
  in_thread(refuses, NULL);
  signals_another(0);
  signals_another(1);
  in_thread(signals_another_from_a_thread, NULL);
  in_thread(counts_cpu, NULL);
  return finish();
}
