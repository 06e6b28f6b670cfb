// SPDX-License-Identifier: Apache-2.0
// A program with an epoll loop of its own in a thread, beside threads that block on the other ends.
#include "socket_pairs.h"

#include <semaphore.h>
#include <sys/epoll.h>

enum { kClients = 30, kMessages = 20 };

static int servers[kClients];
static int quit_pipe[2];

static void* event_loop(void* unused) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event wanted, events[16];
  for (int i = 0; i < kClients; i++) {
    wanted.events = EPOLLIN;
    wanted.data.fd = servers[i];
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, servers[i], &wanted) == 0);
  }
  wanted.data.fd = quit_pipe[0];
  MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, quit_pipe[0], &wanted) == 0);
  long answered = 0;
  for (int round = 0;; round++) {
    int ready;
    struct timespec ten_seconds = {10, 0};
    if (round % 3 == 0)
      ready = epoll_wait(epoll, events, 16, -1);
    else if (round % 3 == 1)
      ready = epoll_pwait(epoll, events, 16, 10000, NULL);
    else
      ready = epoll_pwait2(epoll, events, 16, &ten_seconds, NULL);
    MUST(ready > 0);
    for (int i = 0; i < ready; i++) {
      char buffer[32];
      if (events[i].data.fd == quit_pipe[0]) {
        close(epoll);
        return as_pointer(answered);
      }
      ssize_t got = read(events[i].data.fd, buffer, sizeof buffer);
      MUST(got > 0);
      MUST(write(events[i].data.fd, buffer, (size_t)got) == got);
      answered += got;
    }
  }
  return unused;
}

static void* client(void* argument) {
  int fd = (int)as_long(argument);
  for (int i = 0; i < kMessages; i++) {
    char question = (char)('a' + i), answer = 0;
    MUST(send(fd, &question, 1, 0) == 1);
    MUST(recv(fd, &answer, 1, 0) == 1);
    CHECK(answer == question);
  }
  return NULL;
}

static void* immediate(void* unused) {
  int epoll = epoll_create1(0);
  struct epoll_event event;
  SHOW(epoll_wait(epoll, &event, 1, 0));
  SHOW(epoll_wait(epoll, &event, 0, 0));
  SHOW(epoll_wait(-1, &event, 1, 0));
  SHOW(epoll_wait(STDOUT_FILENO, &event, 1, 0));
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(epoll_wait(epoll, &event, 1, 30));
  CHECK(ms_since(start) >= 30);
  close(epoll);
  return unused;
}

int main(void) {
  pthread_t clients[kClients];
  int ends[kClients];
  MUST(pipe(quit_pipe) == 0);
  for (int i = 0; i < kClients; i++) {
    int pair[2];
    if (i % 2 == 0)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    servers[i] = pair[0];
    ends[i] = pair[1];
  }
  pthread_t loop = start_thread(event_loop, NULL);
  for (int i = 0; i < kClients; i++) clients[i] = start_thread(client, as_pointer(ends[i]));
  for (int i = 0; i < kClients; i++) join_thread(clients[i]);
  MUST(write(quit_pipe[1], "q", 1) == 1);
  say("answered %ld", as_long(join_thread(loop)));
  immediate(NULL);
  return finish();
}
