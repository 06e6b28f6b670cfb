// SPDX-License-Identifier: Apache-2.0
// Signals by tkill, which is told no process: to threads of another one, as a debugger stops its program's, and to one's own.
#include "check.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t caught;

static void catches(int signal) { caught = signal; }

static long tkill_raw(pid_t thread, int signal) { return syscall(SYS_tkill, thread, signal); }

static void* signals(void* where) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  MUST(child > 0);
  say("from %s", (const char*)where);
  SHOW(tkill_raw(child, 0));
  SHOW(tkill_raw(child, SIGSTOP));
  MUST(waitpid(child, &status, WUNTRACED) == child);
  CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  SHOW(tkill_raw(child, SIGCONT));
  MUST(waitpid(child, &status, WCONTINUED) == child);
  CHECK(WIFCONTINUED(status));
  SHOW(tkill_raw(child, 99));
  SHOW(syscall(SYS_tgkill, getpid(), child, SIGUSR1));
  SHOW(syscall(SYS_tgkill, child, child, SIGKILL));
  MUST(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  SHOW(tkill_raw(child, 0));
  SHOW(tkill_raw(0, 0));
  SHOW(tkill_raw(-1, 0));
  caught = 0;
  SHOW(tkill_raw(gettid(), SIGUSR2));
  CHECK(caught == SIGUSR2);
  return NULL;
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void* waits(void* unused) {
  pthread_mutex_lock(&held);
  pthread_mutex_unlock(&held);
  return unused;
}

int main(void) {
  signal(SIGUSR2, catches);
  pthread_mutex_lock(&held);
  pthread_t beside = start_thread(waits, NULL);
  signals("main");
  in_thread(signals, "a thread");
  pthread_mutex_unlock(&held);
  join_thread(beside);
  return finish();
}
