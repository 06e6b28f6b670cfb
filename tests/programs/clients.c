// SPDX-License-Identifier: Apache-2.0
// Five hundred client threads that resolve, connect, ask and read in blocking style, and a thread for each at the
// server.
#include "socket_pairs.h"

#include <netdb.h>

enum { kClients = 500, kRequests = 5 };

static int listener;
static char port_text[16];

static void* serve(void* argument) {
  int fd = (int)as_long(argument);
  char request[64];
  while (recv(fd, request, 16, MSG_WAITALL) == 16) {
    char answer[4096];
    memset(answer, request[0], sizeof answer);
    MUST(send(fd, answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer);
  }
  close(fd);
  return NULL;
}

static void* accept_all(void* unused) {
  for (int i = 0; i < kClients; i++) {
    int fd = accept(listener, NULL, NULL);
    MUST(fd >= 0);
    pthread_detach(start_thread(serve, as_pointer(fd)));
  }
  return unused;
}

static void* client(void* argument) {
  struct addrinfo hints, *list = NULL;
  char request[16], answer[4096];
  long right = 0;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  MUST(getaddrinfo("localhost", port_text, &hints, &list) == 0);
  int fd = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
  MUST(connect(fd, list->ai_addr, list->ai_addrlen) == 0);
  freeaddrinfo(list);
  for (int i = 0; i < kRequests; i++) {
    memset(request, 'a' + (int)(as_long(argument) + i) % 26, sizeof request);
    MUST(write(fd, request, sizeof request) == sizeof request);
    for (size_t got = 0; got < sizeof answer;) {
      ssize_t now = read(fd, answer + got, sizeof answer - got);
      MUST(now > 0);
      got += (size_t)now;
    }
    int same = 1;
    for (size_t k = 0; k < sizeof answer; k++) same &= answer[k] == request[0];
    right += same;
  }
  close(fd);
  return as_pointer(right);
}

int main(void) {
  pthread_t threads[kClients];
  listener = tcp_listener(512);
  snprintf(port_text, sizeof port_text, "%d", ntohs(address_of(listener).sin_port));
  pthread_t acceptor = start_thread(accept_all, NULL);
  for (long i = 0; i < kClients; i++) threads[i] = start_thread(client, as_pointer(i));
  long right = 0;
  for (int i = 0; i < kClients; i++) right += as_long(join_thread(threads[i]));
  join_thread(acceptor);
  say("right answers: %ld", right);
  return finish();
}
