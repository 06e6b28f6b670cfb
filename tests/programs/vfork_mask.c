// SPDX-License-Identifier: Apache-2.0
// What a child of vfork, fork, posix_spawn, popen or system has blocked is what its thread had blocked.
#include "check.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;
static char* const command[] = {"grep", "SigBlk", "/proc/self/status", NULL};

static void waits_for(pid_t pid) {
  int status = 0;
  MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void* makes_children(void* unused) {
  pid_t pid = vfork();
  if (pid == 0) {
    execv("/bin/grep", command);
    _exit(1);
  }
  waits_for(pid);
  pid = fork();
  if (pid == 0) {
    execv("/bin/grep", command);
    _exit(1);
  }
  waits_for(pid);
  MUST(posix_spawn(&pid, "/bin/grep", NULL, NULL, command, environ) == 0);
  waits_for(pid);
  CHECK(system("grep SigBlk /proc/self/status") == 0);
  FILE* pipe = popen("grep SigBlk /proc/self/status", "r");
  char line[80] = "";
  MUST(pipe && fgets(line, sizeof line, pipe));
  pclose(pipe);
  say("%.*s", (int)strcspn(line, "\n"), line);
  return unused;
}

static void* blocks_two(void* unused) {
  sigset_t two;
  sigemptyset(&two);
  sigaddset(&two, SIGUSR2);
  sigaddset(&two, SIGTERM);
  MUST(pthread_sigmask(SIG_BLOCK, &two, NULL) == 0);
  return makes_children(unused);
}

int main(void) {
  in_thread(makes_children, NULL);
  in_thread(blocks_two, NULL);
  return finish();
}
