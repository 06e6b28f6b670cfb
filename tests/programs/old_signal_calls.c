// SPDX-License-Identifier: Apache-2.0
// The older calls around signals, each in a thread: System V and BSD masks and dispositions, sigpause, jumps out of
// handlers.
#include "check.h"

#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>

// The names behind the macros of the headers, and those that the headers no longer declare.
extern int bsd_sigpause(int mask) __asm__("sigpause");
extern int __xpg_sigpause(int number);
extern __sighandler_t bsd_signal(int number, __sighandler_t handler);
extern __sighandler_t __sysv_signal(int number, __sighandler_t handler);
extern int sigblock(int mask);
extern int sigsetmask(int mask);
extern int siggetmask(void);
extern int sighold(int number);
extern int sigrelse(int number);
extern __sighandler_t sigset(int number, __sighandler_t handler);

static volatile sig_atomic_t handled;
static void handler(int number) { handled += number == SIGUSR1; }

static int blocked(void) {
  sigset_t set;
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  return sigismember(&set, SIGUSR1);
}

static void raised(const char* what) {
  handled = 0;
  raise(SIGUSR1);
  say("%s: handled %d, blocked %d", what, (int)handled, blocked());
}

static void* masks(void* unused) {
  const int mask = 1 << (SIGUSR1 - 1);
  signal(SIGUSR1, handler);
  int before = sigblock(mask) & mask;
  say("sigblock %d, now %d", before, blocked());
  for (int i = 0; i < 3; i++) sched_yield();
  say("siggetmask %d", (siggetmask() & mask) != 0);
  raised("while blocked");
  SHOW(bsd_sigpause(0));
  say("handled %d", (int)handled);
  raise(SIGUSR1);
  handled = 0;
  SHOW(__xpg_sigpause(SIGUSR1));
  say("handled %d", (int)handled);
  say("blocked again %d", blocked());
  before = sigsetmask(0) & mask;
  say("sigsetmask %d, now %d", before != 0, blocked());
  SHOW(sighold(SIGUSR1));
  raised("held");
  SHOW(sigrelse(SIGUSR1));
  say("released: handled %d", (int)handled);
  CHECK(sigset(SIGUSR1, SIG_HOLD) == handler);
  raised("by sigset");
  CHECK(sigset(SIGUSR1, handler) == SIG_HOLD);
  say("set again: handled %d, blocked %d", (int)handled, blocked());
  return unused;
}

static void* dispositions(void* unused) {
  CHECK(bsd_signal(SIGUSR1, handler) != SIG_ERR);
  raised("bsd_signal");
  raised("and again");
  CHECK(ssignal(SIGUSR1, handler) == handler);
  raised("ssignal");
  CHECK(sysv_signal(SIGUSR1, handler) == handler);
  raised("sysv_signal");
  CHECK(signal(SIGUSR1, SIG_IGN) == SIG_DFL);
  CHECK(__sysv_signal(SIGUSR1, handler) == SIG_IGN);
  raised("__sysv_signal");
  CHECK(signal(SIGUSR1, handler) == SIG_DFL);
  return unused;
}

static __thread sigjmp_buf way_out;
static void jumps(int number) { siglongjmp(way_out, number); }

// A handler that never returns to the wait it interrupted; the thread goes on elsewhere and waits again.
static int ends[2];
static sem_t about_to_wait, jumped;

static void* leaves_waits(void* unused) {
  char byte = 0;
  struct timespec nap = {0, 1000000};
  if (sigsetjmp(way_out, 1) == 0) {
    sem_post(&about_to_wait);
    for (;;) read(ends[0], &byte, 1);
  }
  sem_post(&jumped);
  say("out of read by a jump, blocked %d", blocked());
  CHECK(nanosleep(&nap, NULL) == 0);
  if (sigsetjmp(way_out, 1) == 0) {
    raise(SIGUSR1);
    say("not reached");
  }
  say("out of raise by a jump, blocked %d", blocked());
  return unused;
}

static void deeper(jmp_buf buffer, int depth) {
  if (depth == 0) longjmp(buffer, 5);
  if (depth > 0) deeper(buffer, depth - 1);
}

static void* plain_jumps(void* unused) {
  jmp_buf buffer;
  for (volatile int i = 0; i < 20; i++) {
    int value = setjmp(buffer);
    if (value == 0) deeper(buffer, 10);
    CHECK(value == 5);
    sched_yield();
    value = _setjmp(buffer);
    if (value == 0) _longjmp(buffer, 6);
    CHECK(value == 6);
  }
  say("jumped");
  return unused;
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  sem_init(&jumped, 0, 0);
  MUST(pipe(ends) == 0);
  in_thread(masks, NULL);
  masks(NULL);
  in_thread(dispositions, NULL);
  dispositions(NULL);
  in_thread(plain_jumps, NULL);
  signal(SIGUSR1, jumps);
  pthread_t thread = start_thread(leaves_waits, NULL);
  sem_wait(&about_to_wait);
  settle();
  MUST(pthread_kill(thread, SIGUSR1) == 0);
  sem_wait(&jumped);
  join_thread(thread);
  return finish();
}
