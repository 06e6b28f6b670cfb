// SPDX-License-Identifier: Apache-2.0
// sigsetjmp and siglongjmp: the mask is that of the thread at sigsetjmp where it was saved, else that of the jump; in handlers and
// outside, over what pins and over fork.
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

static __thread sigjmp_buf way_back;
static volatile sig_atomic_t handled;
static int* volatile nowhere;

static void count_it(int number) {
  (void)number;
  handled++;
}
static void jump_out(int number) { siglongjmp(way_back, number); }

static sigset_t set_of(int first, int second) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, first);
  if (second) sigaddset(&set, second);
  return set;
}

static void show_mask(const char* when) {
  sigset_t set;
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  say("%s: USR1 %d USR2 %d SEGV %d", when, sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2),
      sigismember(&set, SIGSEGV));
}

static void block(int first, int second) {
  sigset_t set = set_of(first, second);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}
static void open_mask(void) {
  sigset_t none;
  sigemptyset(&none);
  CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
}

static __attribute__((noinline)) void go_back(int value) { siglongjmp(way_back, value); }

static void without_handler(int save) {
  open_mask();
  block(SIGUSR2, 0);
  volatile int came_back = 0;
  int value = sigsetjmp(way_back, save);
  if (value) {
    came_back++;
    say("back with %d, handled %d", value, (int)handled);
    show_mask(save ? "saved" : "not saved");
  }
  if (came_back == 2) return;
  open_mask();
  block(SIGUSR1, 0);
  handled = 0;
  CHECK(raise(SIGUSR1) == 0 && handled == 0);
  // With the mask restored the pending signal comes before the jump is over.
  if (came_back == 0) go_back(7);
  siglongjmp(way_back, 8);
}

// The buffer is used again, without the mask: what it held counts no more.
static void used_again(void) {
  open_mask();
  if (sigsetjmp(way_back, 1) == 0) go_back(1);
  block(SIGUSR2, 0);
  if (sigsetjmp(way_back, 0) == 0) {
    block(SIGUSR1, 0);
    go_back(2);
  }
  show_mask("used again");
  if (setjmp(way_back) == 0) {
    open_mask();
    longjmp(way_back, 1);
  }
  show_mask("setjmp");
}

static void out_of_handlers(int save) {
  for (int number = 0; number < 2; number++) {
    open_mask();
    block(SIGUSR2, 0);
    volatile int signal_number = number ? SIGSEGV : SIGUSR1;
    if (sigsetjmp(way_back, save) == 0) {
      if (number)
        *nowhere = 1;
      else
        raise(SIGUSR1);
    }
    say("out of the handler of %d", (int)signal_number);
    show_mask(save ? "saved" : "not saved");
  }
}

static void* one_fault(void* unused) {
  if (sigsetjmp(way_back, 0) == 0) *nowhere = 1;
  return unused;
}

static void in_child(void) {
  open_mask();
  if (sigsetjmp(way_back, 1) == 0) {
    pid_t child = fork();
    if (child == 0) {
      block(SIGUSR1, SIGUSR2);
      go_back(5);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    return;
  }
  show_mask("child");
  _exit(check_failures);
}

static void over_a_pin(void) {
  open_mask();
  block(SIGUSR2, 0);
  if (sigsetjmp(way_back, 1) == 0) {
    sigset_t none;
    sigemptyset(&none);
    block(SIGUSR1, 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigsuspend(&none) == -1 && errno == EINTR);
    go_back(1);
  }
  show_mask("after sigsuspend");
  if (sigsetjmp(way_back, 1) == 0) {
    open_mask();
    go_back(1);
  }
  show_mask("once more");
}

static void install(void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
}

static void* all(void* unused) {
  install(count_it);
  without_handler(1);
  without_handler(0);
  used_again();
  in_child();
  install(jump_out);
  out_of_handlers(1);
  out_of_handlers(0);
  for (int i = 0; i < 8; i++) {
    open_mask();
    in_thread(one_fault, NULL);
  }
  install(count_it);
  over_a_pin();
  return unused;
}

int main(void) {
  all(NULL);
  for (int i = 0; i < 3; i++) in_thread(all, NULL);
  return finish();
}
