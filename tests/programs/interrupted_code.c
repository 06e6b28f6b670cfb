// SPDX-License-Identifier: Apache-2.0
// Signals to threads that are in no wait: in a computation, in malloc, stuck in the kernel; handlers that jump out of
// each; and signals to the process that main blocks and one thread does not.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled, wrong_thread;
static volatile int stage;
static pthread_t expected;
static sigjmp_buf back;

static void note(int number) {
  wrong_thread = !pthread_equal(pthread_self(), expected);
  handled = number;
}

static void jump(int number) { siglongjmp(back, number); }

static void install(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  MUST(sigaction(number, &action, NULL) == 0);
}

static void* computes(void* unused) {
  stage = 1;
  while (!handled) {
  }
  return unused;
}

static void* allocates(void* unused) {
  stage = 1;
  while (!handled) free(malloc(100));
  return unused;
}

static int held_file;
static void* locks_file(void* unused) {
  int fd = open("held", O_RDWR);
  stage = 1;
  int result = flock(fd, LOCK_EX), error = errno;
  say("flock: %d %s", result, name_of_errno(error));
  close(fd);
  return unused;
}

static pid_t child;
static void* waits_for_child(void* unused) {
  stage = 1;
  int status, result = waitpid(child, &status, 0);
  say("waitpid: %d %s", result, name_of_errno(errno));
  return unused;
}

static int usr1_blocked(void) {
  sigset_t set;
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  return sigismember(&set, SIGUSR1);
}

static void* jumps_out_of_pause(void* unused) {
  volatile int jumps = 0;
  if (sigsetjmp(back, 1)) jumps++;
  CHECK(!usr1_blocked());
  stage = jumps + 1;
  while (jumps < 5) pause();
  usleep(1000);  // a wait after the jumps is one as before
  return unused;
}

static void* jumps_out_of_computation(void* unused) {
  volatile int jumps = 0;
  if (sigsetjmp(back, 1)) jumps++;
  CHECK(!usr1_blocked());
  stage = jumps + 1;
  while (jumps < 5) {
  }
  usleep(1000);  // a wait after the jumps is one as before
  return unused;
}

static void* opens_its_mask(void* waits) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  stage = 1;
  while (!handled)
    if (waits) pause();
  return NULL;
}

static void until_stage(int wanted) {
  while (stage != wanted) usleep(1000);  // polled: the thread may jump out of whatever would tell it
  settle();
}

static void signalled(const char* what, void* (*routine)(void*)) {
  handled = stage = 0;
  pthread_t thread = start_thread(routine, NULL);
  expected = thread;
  until_stage(1);
  MUST(pthread_kill(thread, SIGUSR1) == 0);
  join_thread(thread);
  say("%s: handled %d, elsewhere %d", what, handled == SIGUSR1, (int)wrong_thread);
}

static void jumped(const char* what, void* (*routine)(void*)) {
  stage = 0;
  pthread_t thread = start_thread(routine, NULL);
  for (int i = 1; i <= 5; i++) {
    until_stage(i);
    MUST(pthread_kill(thread, SIGUSR1) == 0);
  }
  join_thread(thread);
  say("%s: jumped out of five times", what);
}

static void to_the_process(int waits) {
  handled = stage = 0;
  pthread_t thread = start_thread(opens_its_mask, waits ? &held_file : NULL);
  expected = thread;
  until_stage(1);
  MUST(kill(getpid(), SIGTERM) == 0);
  join_thread(thread);
  say("to the process: handled %d, elsewhere %d", handled == SIGTERM, (int)wrong_thread);
}

int main(void) {
  install(SIGUSR1, note, 0);
  signalled("a computation", computes);
  for (int i = 0; i < 5; i++) signalled("malloc", allocates);
  MUST((held_file = open("held", O_RDWR | O_CREAT, 0600)) >= 0 && flock(held_file, LOCK_EX) == 0);
  signalled("flock", locks_file);
  if ((child = fork()) == 0) {
    pause();
    _exit(0);
  }
  signalled("waitpid", waits_for_child);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);

  install(SIGUSR1, jump, 0);
  jumped("pause", jumps_out_of_pause);
  jumped("a computation", jumps_out_of_computation);

  sigset_t all, one;
  sigfillset(&all);
  install(SIGTERM, note, 0);
  MUST(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
  to_the_process(1);
  to_the_process(0);
  // Nobody has it open any more: it waits for main.
  MUST(kill(getpid(), SIGTERM) == 0);
  settle();
  int number = 0;
  sigemptyset(&one);
  sigaddset(&one, SIGTERM);
  CHECK(sigpending(&all) == 0 && sigismember(&all, SIGTERM));
  CHECK(sigwait(&one, &number) == 0 && number == SIGTERM);
  unlink("held");
  return finish();
}
