// SPDX-License-Identifier: Apache-2.0
// Threads whose times are looked at: "poll" waits all the time; "sleep", "signal", "region" and "busy" wait for a byte first and do what
// they are called from the first line of input on, "busy" until the second. Says "ready" once they have been started, and after each line.
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kFirst = 4 };

static int pipes[kFirst][2], never[2];
static atomic_bool enough;
static pid_t child;

static void wait_for_byte(int fd) {
  char byte;
  if (read(fd, &byte, 1) != 1) _exit(2);
}

static void* polls(void* argument) {
  struct pollfd one = {.fd = never[0], .events = POLLIN};
  poll(&one, 1, -1);
  return argument;
}
static void* sleeps(void* argument) {
  wait_for_byte(pipes[0][0]);
  for (;;) sleep(100000);
  return argument;
}
static void* pauses(void* argument) {
  wait_for_byte(pipes[1][0]);
  for (;;) pause();
  return argument;
}
static void* waits_for_child(void* argument) {
  wait_for_byte(pipes[2][0]);
  waitpid(child, NULL, 0);
  return argument;
}
static void* computes(void* argument) {
  wait_for_byte(pipes[3][0]);
  while (!atomic_load_explicit(&enough, memory_order_relaxed)) continue;
  return argument;
}

static void start(void* (*function)(void*), const char* name) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, NULL) != 0) _exit(2);
  pthread_setname_np(thread, name);
}

int main(void) {
  char line[16];
  for (int i = 0; i < kFirst; i++)
    if (pipe(pipes[i]) != 0) return 1;
  if (pipe(never) != 0) return 1;
  child = fork();
  if (child == 0) {
    close(never[1]);
    _exit((int)read(never[0], line, 1));  // until this process has ended
  }
  start(computes, "busy");
  start(polls, "poll");
  start(sleeps, "sleep");
  start(pauses, "signal");
  start(waits_for_child, "region");
  if (write(1, "ready\n", 6) != 6 || read(0, line, sizeof line) <= 0) return 1;
  for (int i = 0; i < kFirst; i++)
    if (write(pipes[i][1], "", 1) != 1) return 1;
  if (write(1, "ready\n", 6) != 6 || read(0, line, sizeof line) <= 0) return 1;
  atomic_store(&enough, true);
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, line, sizeof line) > 0) continue;
  return 0;
}
