// SPDX-License-Identifier: Apache-2.0
// Children that ask to be traced by the thread that forked them, as debuggers start programs: that thread waits and
// goes on.
#include "check.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void* traces(void* unused) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    _exit(6);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
  struct timespec nap = {0, 300000};
  for (int i = 0; i < 10; i++) nanosleep(&nap, NULL);
  if (!CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0)) kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 6);
  return unused;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) threads[i] = start_thread(traces, NULL);
  for (int i = 0; i < 4; i++) join_thread(threads[i]);
  return finish();
}
