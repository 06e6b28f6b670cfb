// SPDX-License-Identifier: Apache-2.0
// fork before any thread, daemon(), a double fork, and a child that ends by exit() with its own atexit and threads.
#include "socket_pairs.h"

#include <sys/wait.h>

static void* doubles(void* argument) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
  return as_pointer(2 * as_long(argument));
}

static long with_threads(void) {
  pthread_t threads[10];
  long sum = 0;
  for (long i = 0; i < 10; i++) threads[i] = start_thread(doubles, as_pointer(i));
  for (int i = 0; i < 10; i++) sum += as_long(join_thread(threads[i]));
  return sum;
}

static void at_exit(void) {
  long sum = with_threads();
  say("atexit: %ld", sum);
}

static void report(const char* what, pid_t pid) {
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("%s: status %d", what, WEXITSTATUS(status));
}

static long daemon_speaks(void) {
  int ends[2];
  char text[64] = {0};
  MUST(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    if (daemon(1, 1) != 0) _exit(1);
    snprintf(text, sizeof text, "daemon: %ld, session of its own %d", with_threads(), getsid(0) == getpgrp());
    if (write(ends[1], text, strlen(text)) < 0) _exit(2);
    _exit(0);
  }
  close(ends[1]);
  ssize_t got = 0, now;
  while ((now = read(ends[0], text + got, sizeof text - 1 - (size_t)got)) > 0) got += now;
  close(ends[0]);
  say("%s", text);
  report("daemon's parent", pid);
  return got;
}

static void double_fork(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() != 0) _exit(4);
    setsid();
    for (int fd = 3; fd < 256; fd++)
      if (fd != ends[1]) close(fd);
    long sum = with_threads();
    _exit(write(ends[1], &sum, sizeof sum) == sizeof sum ? 0 : 1);
  }
  close(ends[1]);
  report("first child", pid);
  long sum = 0;
  MUST(read(ends[0], &sum, sizeof sum) == sizeof sum);
  char byte;
  MUST(read(ends[0], &byte, 1) == 0);
  say("grandchild's sum %ld", sum);
  close(ends[0]);
}

int main(void) {
  double_fork();
  daemon_speaks();
  pid_t pid = fork();
  if (pid == 0) {
    atexit(at_exit);
    with_threads();
    exit(5);
  }
  report("exit in a child", pid);
  say("-- after threads");
  say("sum %ld", with_threads());
  double_fork();
  daemon_speaks();
  pid = fork();
  if (pid == 0) {
    atexit(at_exit);
    exit(6);
  }
  report("exit in a child", pid);
  return finish();
}
