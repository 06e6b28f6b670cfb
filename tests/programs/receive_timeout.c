// SPDX-License-Identifier: Apache-2.0
// SO_RCVTIMEO and SO_SNDTIMEO: sub-second values, one direction each, inherited by accepted sockets, partial data
// first.
#include "socket_pairs.h"

#include <fcntl.h>

static void set_timeout(int fd, int which, long milliseconds) {
  struct timeval value = {milliseconds / 1000, milliseconds % 1000 * 1000};
  MUST(setsockopt(fd, SOL_SOCKET, which, &value, sizeof value) == 0);
}

static void waited(const char* what, long long start, long least) {
  long took = ms_since(start);
  say("%s: waited at least %ld ms: %s", what, least, took >= least ? "yes" : "no");
  CHECK(took < 8000);
}

static void receive_side(int kind) {
  int pair[2];
  char buffer[16];
  if (kind == 0)
    tcp_pair(pair);
  else
    unix_pair(SOCK_STREAM, pair);
  say("-- %s", kind == 0 ? "tcp" : "socketpair");
  set_timeout(pair[0], SO_RCVTIMEO, 150);
  struct timeval seen;
  socklen_t length = sizeof seen;
  SHOW(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &seen, &length));
  say("150 ms set, read back within a tick: %s",
      seen.tv_sec == 0 && seen.tv_usec >= 140000 && seen.tv_usec <= 160000 ? "yes" : "no");
  length = sizeof seen;
  SHOW(getsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &seen, &length));
  say("the other direction: %ld.%06ld", (long)seen.tv_sec, (long)seen.tv_usec);

  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(recv(pair[0], buffer, sizeof buffer, 0));
  waited("recv", start, 145);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(read(pair[0], buffer, sizeof buffer));
  waited("read", start, 145);

  // What came before the time was up is the result; the error is only for nothing at all.
  MUST(send(pair[1], "part", 4, 0) == 4);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(recv(pair[0], buffer, 10, MSG_WAITALL));
  waited("MSG_WAITALL", start, 145);
  SHOW(recv(pair[0], buffer, 1, MSG_DONTWAIT));

  // Zero means for ever; data then ends the wait.
  set_timeout(pair[0], SO_RCVTIMEO, 0);
  MUST(send(pair[1], "x", 1, 0) == 1);
  SHOW(recv(pair[0], buffer, 1, 0));
  close(pair[0]);
  close(pair[1]);
}

static void send_side(void) {
  int pair[2];
  static char block[1 << 20];
  unix_pair(SOCK_STREAM, pair);
  say("-- sending");
  set_timeout(pair[0], SO_SNDTIMEO, 120);
  long long start = now_ns(CLOCK_MONOTONIC);
  ssize_t sent = send(pair[0], block, sizeof block, 0);
  CHECK(sent > 0 && sent < (ssize_t)sizeof block);
  waited("partial send", start, 115);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(send(pair[0], block, sizeof block, 0));
  waited("full", start, 115);
  // The receiving direction has no time limit: the peer's data arrives.
  MUST(send(pair[1], "x", 1, 0) == 1);
  SHOW(recv(pair[0], block, 1, 0));
  close(pair[0]);
  close(pair[1]);
}

static void accepting(void) {
  say("-- accept");
  int listener = tcp_listener(4);
  set_timeout(listener, SO_RCVTIMEO, 130);
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(accept(listener, NULL, NULL));
  waited("accept", start, 125);
  int client = tcp_client(listener);
  int served = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  MUST(served >= 0);
  CHECK(fcntl(served, F_GETFD) == FD_CLOEXEC);
  // An accepted socket inherits the listener's times.
  char buffer[4];
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(recv(served, buffer, sizeof buffer, 0));
  waited("inherited", start, 125);
  close(client);
  close(served);
  close(listener);
}

// A number at another level is another option; the socket goes on waiting for ever, that is, until the data comes.
static void other_level(void) {
  int pair[2];
  char buffer[4];
  tcp_pair(pair);
  struct timeval value = {0, 1000};
  errno = 0;
  int result = setsockopt(pair[0], IPPROTO_TCP, SO_RCVTIMEO, &value, sizeof value);
  say("-- other level: %d", result == 0 || result == -1);
  MUST(send(pair[1], "y", 1, 0) == 1);
  SHOW(recv(pair[0], buffer, 1, 0));
  close(pair[0]);
  close(pair[1]);
}

static void* all(void* unused) {
  receive_side(0);
  receive_side(1);
  send_side();
  accepting();
  other_level();
  return unused;
}

int main(void) {
  in_thread(all, NULL);
  return finish();
}
