// SPDX-License-Identifier: Apache-2.0
// select() and pselect() to the letter: sets rewritten, the time left, errors, sets of none, waits of several threads.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/select.h>

static sem_t about_to_wait;

static void at_once(void) {
  int ends[2], idle[2];
  fd_set readable, writable, exceptional;
  MUST(pipe(ends) == 0 && pipe(idle) == 0);
  int top = idle[1] + 1;
  struct timeval none = {0, 0};
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  FD_ZERO(&exceptional);
  FD_SET(ends[0], &readable);
  FD_SET(idle[0], &readable);
  FD_SET(ends[1], &writable);
  FD_SET(ends[0], &exceptional);
  SHOW(select(top, &readable, &writable, &exceptional, &none));
  say("sets: %d%d %d %d", !!FD_ISSET(ends[0], &readable), !!FD_ISSET(idle[0], &readable),
      !!FD_ISSET(ends[1], &writable), !!FD_ISSET(ends[0], &exceptional));
  MUST(write(ends[1], "x", 1) == 1);
  FD_SET(ends[0], &readable);
  FD_SET(idle[0], &readable);
  SHOW(select(top, &readable, &writable, NULL, NULL));
  say("sets: %d%d %d", !!FD_ISSET(ends[0], &readable), !!FD_ISSET(idle[0], &readable), !!FD_ISSET(ends[1], &writable));
  // Only numbers below the first argument count.
  FD_ZERO(&readable);
  FD_SET(ends[0], &readable);
  SHOW(select(ends[0], &readable, NULL, NULL, &none));
  FD_SET(ends[0], &readable);
  struct timespec no_time = {0, 0};
  SHOW(pselect(ends[0] + 1, &readable, NULL, NULL, &no_time, NULL));
  SHOW(select(-1, NULL, NULL, NULL, &none));
  struct timeval negative = {-1, 0};
  SHOW(select(0, NULL, NULL, NULL, &negative));
  FD_ZERO(&readable);
  FD_SET(40, &readable);
  SHOW(select(41, &readable, NULL, NULL, &none));
  close(ends[0]);
  close(ends[1]);
  close(idle[0]);
  close(idle[1]);
}

static void times(void) {
  int idle[2];
  fd_set readable;
  MUST(pipe(idle) == 0);
  struct timeval left = {0, 70000};
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(select(0, NULL, NULL, NULL, &left));
  CHECK(ms_since(start) >= 70);
  say("left of a wait in full: %ld.%06ld", (long)left.tv_sec, (long)left.tv_usec);
  left.tv_usec = 40000;
  FD_ZERO(&readable);
  FD_SET(idle[0], &readable);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(select(idle[0] + 1, &readable, NULL, NULL, &left));
  CHECK(ms_since(start) >= 40);
  say("set after a time-out: %d", !!FD_ISSET(idle[0], &readable));
  struct timespec kept = {0, 20000500};
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(pselect(0, NULL, NULL, NULL, &kept, NULL));
  CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000500);
  CHECK(kept.tv_nsec == 20000500);
  // Ended early, the time that was left is told.
  MUST(write(idle[1], "x", 1) == 1);
  left.tv_sec = 5;
  left.tv_usec = 0;
  FD_SET(idle[0], &readable);
  SHOW(select(idle[0] + 1, &readable, NULL, NULL, &left));
  CHECK(left.tv_sec >= 1 && left.tv_sec <= 5);
  close(idle[0]);
  close(idle[1]);
}

struct waiter {
  int read_fd;
  int write_fd;
  int use_pselect;
};

static void* selector(void* argument) {
  struct waiter* waiter = argument;
  fd_set readable, writable;
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  if (waiter->read_fd >= 0) FD_SET(waiter->read_fd, &readable);
  if (waiter->write_fd >= 0) FD_SET(waiter->write_fd, &writable);
  int top = (waiter->read_fd > waiter->write_fd ? waiter->read_fd : waiter->write_fd) + 1;
  sem_post(&about_to_wait);
  long ready = waiter->use_pselect ? pselect(top, &readable, &writable, NULL, NULL, NULL)
                                   : select(top, &readable, &writable, NULL, NULL);
  if (waiter->read_fd >= 0 && FD_ISSET(waiter->read_fd, &readable)) ready += 10;
  if (waiter->write_fd >= 0 && FD_ISSET(waiter->write_fd, &writable)) ready += 100;
  return as_pointer(ready);
}

static void waits(void) {
  int pair[2];
  static char block[1 << 16];
  unix_pair(SOCK_STREAM, pair);
  while (send(pair[0], block, sizeof block, MSG_DONTWAIT) > 0) {
  }
  struct waiter waiters[4] = {{pair[0], -1, 0}, {pair[0], -1, 1}, {-1, pair[0], 0}, {-1, pair[0], 1}};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    threads[i] = start_thread(selector, &waiters[i]);
    sem_wait(&about_to_wait);
  }
  settle();
  MUST(send(pair[1], "r", 1, 0) == 1);
  for (int i = 0; i < 2; i++) say("reader %d: %ld", i, as_long(join_thread(threads[i])));
  while (recv(pair[1], block, sizeof block, MSG_DONTWAIT) > 0) {
  }
  for (int i = 2; i < 4; i++) say("writer %d: %ld", i, as_long(join_thread(threads[i])));
  close(pair[0]);
  close(pair[1]);
}

static void* all(void* unused) {
  at_once();
  times();
  waits();
  return unused;
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  in_thread(all, NULL);
  say("-- from main");
  all(NULL);
  return finish();
}
