// SPDX-License-Identifier: Apache-2.0
// Descriptors that are neither socket nor pipe: eventfd, timerfd, signalfd, inotify, pidfd and an epoll descriptor in
// poll.
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static sem_t about_to_wait;

static void* read_eight(void* argument) {
  uint64_t value = 0;
  sem_post(&about_to_wait);
  if (read((int)as_long(argument), &value, sizeof value) != sizeof value) return as_pointer(-1);
  return as_pointer((long)value);
}

static void* write_eight(void* argument) {
  uint64_t value = 5;
  sem_post(&about_to_wait);
  return as_pointer(write((int)as_long(argument), &value, sizeof value));
}

static pthread_t waiting(thread_start start, int fd) {
  pthread_t thread = start_thread(start, as_pointer(fd));
  sem_wait(&about_to_wait);
  settle();
  return thread;
}

static void event(void) {
  int fd = eventfd(0, 0);
  pthread_t thread = waiting(read_eight, fd);
  SHOW(eventfd_write(fd, 7));
  say("eventfd: %ld", as_long(join_thread(thread)));

  // Full: the writer waits for the reader.
  SHOW(eventfd_write(fd, 0xfffffffffffffffeull));
  thread = waiting(write_eight, fd);
  uint64_t value = 0;
  SHOW(read(fd, &value, sizeof value));
  CHECK(value == 0xfffffffffffffffeull);
  say("full eventfd: %ld", as_long(join_thread(thread)));
  SHOW(read(fd, &value, sizeof value));
  CHECK(value == 5);
  SHOW(read(fd, &value, 4));
  close(fd);

  fd = eventfd(0, EFD_SEMAPHORE);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) threads[i] = waiting(read_eight, fd);
  SHOW(eventfd_write(fd, 4));
  long sum = 0;
  for (int i = 0; i < 4; i++) sum += as_long(join_thread(threads[i]));
  say("semaphore eventfd: %ld", sum);
  close(fd);

  fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  SHOW(read(fd, &value, sizeof value));
  close(fd);
}

static void timer(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec at = {{0, 0}, {0, 40 * 1000000L}};
  long long start = now_ns(CLOCK_MONOTONIC);
  MUST(timerfd_settime(fd, 0, &at, NULL) == 0);
  say("timerfd: %ld", as_long(join_thread(waiting(read_eight, fd))));
  CHECK(ms_since(start) >= 40);
  close(fd);
}

static void signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  int fd = signalfd(-1, &set, 0);
  struct signalfd_siginfo info;
  MUST(kill(getpid(), SIGUSR1) == 0);
  SHOW(read(fd, &info, sizeof info));
  say("signalfd: %s", info.ssi_signo == SIGUSR1 ? "SIGUSR1" : "?");
  close(fd);
}

static void* notified(void* argument) {
  char buffer[512] __attribute__((aligned(8)));
  sem_post(&about_to_wait);
  ssize_t got = read((int)as_long(argument), buffer, sizeof buffer);
  if (got < (ssize_t)sizeof(struct inotify_event)) return as_pointer(-1);
  return as_pointer((long)((struct inotify_event*)buffer)->mask);
}

static void files(void) {
  int fd = inotify_init1(0);
  MUST(inotify_add_watch(fd, ".", IN_CREATE) >= 0);
  pthread_t thread = waiting(notified, fd);
  close(creat("made", 0600));
  say("inotify: %s", as_long(join_thread(thread)) == IN_CREATE ? "IN_CREATE" : "?");
  close(fd);
}

static void* poll_one(void* argument) {
  struct pollfd entry = {(int)as_long(argument), POLLIN, 0};
  sem_post(&about_to_wait);
  int ready = poll(&entry, 1, -1);
  return as_pointer(ready * 1000 + entry.revents);
}

static void child(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) == 0 ? 3 : 4);
  }
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  MUST(fd >= 0);
  pthread_t thread = waiting(poll_one, fd);
  close(ends[1]);
  say("pidfd: %ld", as_long(join_thread(thread)));
  int status;
  MUST(waitpid(pid, &status, 0) == pid);
  say("child: %d", WEXITSTATUS(status));
  close(ends[0]);
  close(fd);
}

static void nested(void) {
  int ends[2], outer = epoll_create1(0);
  MUST(pipe(ends) == 0);
  struct epoll_event wanted = {EPOLLIN, {0}};
  MUST(epoll_ctl(outer, EPOLL_CTL_ADD, ends[0], &wanted) == 0);
  pthread_t thread = waiting(poll_one, outer);
  MUST(write(ends[1], "n", 1) == 1);
  say("epoll descriptor in poll: %ld", as_long(join_thread(thread)));
  close(outer);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  event();
  timer();
  signals();
  files();
  child();
  nested();
  return finish();
}
