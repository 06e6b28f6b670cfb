// SPDX-License-Identifier: Apache-2.0
// Timers of every kind: to the process by a signal that one thread alone does not block, to a function, through a
// descriptor; alarm and the three interval timers.
#include "check.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static sem_t came, ready;
static pthread_t taker;
static volatile sig_atomic_t right_thread, value_seen, code_seen;
static volatile int stop;
static const int numbers[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1};

static void handler(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)context;
  right_thread = pthread_equal(pthread_self(), taker);
  value_seen = info->si_code == SI_TIMER ? info->si_value.sival_int : 0;
  code_seen = info->si_code;
  sem_post(&came);
}

static sigset_t all_numbers(void) {
  sigset_t set;
  sigemptyset(&set);
  for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaddset(&set, numbers[i]);
  return set;
}

// The one thread that has the signals open; what it does between is a wait or a computation.
static void* takes(void* computes) {
  sigset_t set = all_numbers();
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  sem_post(&ready);
  while (!stop)
    if (!computes) usleep(20000);
  return NULL;
}

static void wait_for_it(const char* what) {
  while (sem_wait(&came) == -1) CHECK(errno == EINTR);
  say("%s: in the thread that takes it %d, value %d, of a timer %d", what, (int)right_thread, (int)value_seen,
      code_seen == SI_TIMER);
}

static void signals_of_timers(void) {
  struct itimerspec soon = {{0, 0}, {0, 1000000}}, left;
  struct sigevent event;
  timer_t timer;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_int = 4711;
  SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
  SHOW(timer_settime(timer, 0, &soon, NULL));
  wait_for_it("SIGEV_SIGNAL");
  SHOW(timer_gettime(timer, &left));
  say("left %ld", left.it_value.tv_sec + left.it_value.tv_nsec);
  SHOW(timer_delete(timer));
  SHOW(timer_settime(timer, 0, &soon, NULL));
}

static void called(union sigval value) {
  value_seen = value.sival_int;
  sem_post(&came);
}

static void functions_of_timers(void) {
  struct itimerspec soon = {{0, 0}, {0, 1000000}};
  struct sigevent event;
  timer_t timer;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = called;
  for (int i = 1; i <= 5; i++) {
    event.sigev_value.sival_int = i;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    MUST(timer_settime(timer, 0, &soon, NULL) == 0);
    while (sem_wait(&came) == -1) CHECK(errno == EINTR);
    say("SIGEV_THREAD: %d", (int)value_seen);
    MUST(timer_delete(timer) == 0);
  }
}

static void through_descriptors(void) {
  struct itimerspec soon = {{0, 1000000}, {0, 1000000}};
  uint64_t ticks = 0, sum = 0;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct pollfd entry = {fd, POLLIN, 0};
  MUST(fd >= 0 && timerfd_settime(fd, 0, &soon, NULL) == 0);
  while (sum < 10) {
    MUST(read(fd, &ticks, sizeof ticks) == sizeof ticks);
    sum += ticks;
  }
  say("timerfd: poll %d", poll(&entry, 1, -1));
  close(fd);
}

static void* all(void* unused) {
  struct itimerval soon = {{0, 0}, {0, 1000}}, none = {{0, 0}, {0, 0}};
  for (int computes = 0; computes < 2; computes++) {
    say("-- to a thread that %s", computes ? "computes" : "waits");
    stop = 0;
    taker = start_thread(takes, as_pointer(computes));
    sem_wait(&ready);
    MUST(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    wait_for_it("ITIMER_REAL");
    if (computes) {
      MUST(setitimer(ITIMER_VIRTUAL, &soon, NULL) == 0);
      wait_for_it("ITIMER_VIRTUAL");
      MUST(setitimer(ITIMER_PROF, &soon, NULL) == 0);
      wait_for_it("ITIMER_PROF");
    }
    SHOW(setitimer(ITIMER_REAL, &none, NULL));
    signals_of_timers();
    stop = 1;
    join_thread(taker);
  }
  stop = 0;
  taker = start_thread(takes, NULL);
  say("alarm: %u before", alarm(1));
  wait_for_it("alarm");
  say("alarm: %u left", alarm(0));
  stop = 1;
  join_thread(taker);
  functions_of_timers();
  through_descriptors();
  return unused;
}

int main(void) {
  sigset_t set = all_numbers();
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sem_init(&came, 0, 0);
  sem_init(&ready, 0, 0);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) MUST(sigaction(numbers[i], &action, NULL) == 0);
  say("-- set by a thread");
  in_thread(all, NULL);
  say("-- set by main");
  all(NULL);
  return finish();
}
