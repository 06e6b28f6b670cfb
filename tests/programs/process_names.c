// SPDX-License-Identifier: Apache-2.0
// The name that a process has in ps: that of the thread which forked it, whether it was given one or has its maker's.
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void show(const char* who) {
  char name[32] = "", own[16] = "";
  int fd = open("/proc/self/comm", O_RDONLY);
  MUST(fd >= 0);
  ssize_t length = read(fd, name, sizeof name - 1);
  MUST(length > 0);
  name[length - 1] = 0;
  close(fd);
  MUST(prctl(PR_GET_NAME, own) == 0);
  say("%s: process %s, itself %s", who, name, own);
}

static void await(pid_t pid) {
  int status = -1;
  MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}

static void* shows(void* argument) {
  show(argument);
  return NULL;
}

static int cloned(void* argument) {
  show(argument);
  return 0;
}

static void* makes(void* argument) {
  static char stack[64 << 10] __attribute__((aligned(16)));
  const char* name = argument;
  if (name) MUST(pthread_setname_np(pthread_self(), name) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    show("a child");
    in_thread(shows, "its thread");
    pid_t second = fork();
    if (second == 0) {
      show("its child");
      _exit(0);
    }
    await(second);
    _exit(0);
  }
  await(pid);
  pid = _Fork();
  if (pid == 0) {
    show("by _Fork");
    _exit(0);
  }
  await(pid);
  await(clone(cloned, stack + sizeof stack, SIGCHLD, "by clone"));
  return NULL;
}

int main(void) {
  say("-- by main");
  makes(NULL);
  say("-- by a thread");
  in_thread(makes, NULL);
  say("-- by a thread with a name");
  in_thread(makes, "thread's own");
  say("-- by a thread of a renamed main");
  MUST(prctl(PR_SET_NAME, "renamed") == 0);
  in_thread(makes, NULL);
  return finish();
}
