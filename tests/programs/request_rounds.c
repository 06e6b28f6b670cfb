// SPDX-License-Identifier: Apache-2.0
// Fifty connections, a server and a client thread for each, two hundred small requests on each: no write ever has to
// wait.
#include "socket_pairs.h"

enum { kConnections = 50, kRequests = 200 };

static pthread_barrier_t everybody;

static void* serve(void* argument) {
  int fd = (int)as_long(argument);
  char request[64];
  ssize_t got;
  pthread_barrier_wait(&everybody);
  while ((got = read(fd, request, sizeof request)) > 0) MUST(write(fd, request, (size_t)got) == got);
  // Kept open, so that no number is used twice.
  pthread_barrier_wait(&everybody);
  close(fd);
  return NULL;
}

static void* ask(void* argument) {
  int fd = (int)as_long(argument);
  char request[64], answer[64];
  long right = 0;
  pthread_barrier_wait(&everybody);
  for (int i = 0; i < kRequests; i++) {
    memset(request, i, sizeof request);
    MUST(send(fd, request, sizeof request, 0) == sizeof request);
    MUST(recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer);
    right += memcmp(request, answer, sizeof answer) == 0;
  }
  shutdown(fd, SHUT_WR);
  pthread_barrier_wait(&everybody);
  close(fd);
  return as_pointer(right);
}

int main(void) {
  pthread_t servers[kConnections], clients[kConnections];
  pthread_barrier_init(&everybody, NULL, 2 * kConnections);
  for (int i = 0; i < kConnections; i++) {
    int pair[2];
    if (i % 2 == 0)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    servers[i] = start_thread(serve, as_pointer(pair[0]));
    clients[i] = start_thread(ask, as_pointer(pair[1]));
  }
  long right = 0;
  for (int i = 0; i < kConnections; i++) {
    join_thread(servers[i]);
    right += as_long(join_thread(clients[i]));
  }
  say("right answers %ld", right);
  return finish();
}
