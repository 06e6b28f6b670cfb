// SPDX-License-Identifier: Apache-2.0
// A program that has functions of libc's names itself, each around syscall(): whoever calls them by name, libraries too, gets them.
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

enum { kThreads = 10, kRounds = 20 };

static int called[6];

pid_t gettid(void) {
  __atomic_add_fetch(&called[0], 1, __ATOMIC_RELAXED);
  return (pid_t)syscall(SYS_gettid);
}
ssize_t read(int fd, void* buffer, size_t size) {
  __atomic_add_fetch(&called[1], 1, __ATOMIC_RELAXED);
  return syscall(SYS_read, fd, buffer, size);
}
int close(int fd) {
  __atomic_add_fetch(&called[2], 1, __ATOMIC_RELAXED);
  return (int)syscall(SYS_close, fd);
}
int poll(struct pollfd* fds, nfds_t count, int timeout) {
  __atomic_add_fetch(&called[3], 1, __ATOMIC_RELAXED);
  return (int)syscall(SYS_poll, fds, count, timeout);
}
int nanosleep(const struct timespec* length, struct timespec* left) {
  __atomic_add_fetch(&called[4], 1, __ATOMIC_RELAXED);
  return (int)syscall(SYS_nanosleep, length, left);
}
int sched_yield(void) {
  __atomic_add_fetch(&called[5], 1, __ATOMIC_RELAXED);
  return (int)syscall(SYS_sched_yield);
}

static void* works(void* argument) {
  int ends[2];
  char byte = 'x';
  struct timespec nap = {0, 100000};
  pid_t tid = gettid();
  MUST(pipe(ends) == 0);
  for (int round = 0; round < kRounds; round++) {
    struct pollfd entry = {ends[0], POLLIN, 0};
    MUST(write(ends[1], &byte, 1) == 1);
    MUST(poll(&entry, 1, -1) == 1);
    MUST(read(ends[0], &byte, 1) == 1);
    MUST(nanosleep(&nap, NULL) == 0);
    MUST(sched_yield() == 0);
    CHECK(gettid() == tid);
  }
  MUST(close(ends[0]) == 0 && close(ends[1]) == 0);
  return argument;
}

int main(void) {
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(works, as_pointer(i));
  for (long i = 0; i < kThreads; i++) CHECK(as_long(join_thread(threads[i])) == i);
  for (int i = 0; i < 6; i++) SHOW(called[i]);
  return finish();
}
