// SPDX-License-Identifier: Apache-2.0
// Two threads accept on one socket among many that compute. The one whom a connection wakes has its turn behind all of those, and
// for so long the other waits beside a socket that is ready: no event was lost, and nobody is to think so.
#include "socket_pairs.h"

#include <stdatomic.h>

enum { kCrowd = 200, kConnections = 8 };

static int listener;
static atomic_int over;

static void* computes(void* argument) {
  while (!atomic_load(&over)) {
    long long begun = now_ns(CLOCK_MONOTONIC);
    while (now_ns(CLOCK_MONOTONIC) < begun + 1000000) {
    }
    sched_yield();
  }
  return argument;
}

static void* accepts(void* unused) {
  long count = 0;
  char kind = 'w';
  (void)unused;
  while (kind != 'q') {
    int fd = accept(listener, NULL, NULL);
    MUST(fd >= 0);
    MUST(recv(fd, &kind, 1, 0) == 1);
    MUST(send(fd, &kind, 1, 0) == 1);
    close(fd);
    count++;
  }
  return as_pointer(count);
}

static void connects(char kind) {
  int fd = tcp_client(listener);
  char answer = 0;
  MUST(send(fd, &kind, 1, 0) == 1);
  MUST(recv(fd, &answer, 1, 0) == 1);
  CHECK(answer == kind);
  close(fd);
}

int main(void) {
  pthread_t crowd[kCrowd], acceptors[2];
  listener = tcp_listener(64);
  for (int i = 0; i < 2; i++) acceptors[i] = start_thread(accepts, NULL);
  for (int i = 0; i < kCrowd; i++) crowd[i] = start_thread(computes, NULL);
  for (int i = 0; i < kConnections; i++) connects('w');
  connects('q');
  connects('q');
  long served = 0;
  for (int i = 0; i < 2; i++) served += as_long(join_thread(acceptors[i]));
  atomic_store(&over, 1);
  for (int i = 0; i < kCrowd; i++) join_thread(crowd[i]);
  say("%ld connections served", served);
  close(listener);
  return finish();
}
