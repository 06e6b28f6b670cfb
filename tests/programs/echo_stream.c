// SPDX-License-Identifier: Apache-2.0
// Stream sockets of three kinds, a thread that echoes, and every call that sends or receives, flags included.
#include "socket_pairs.h"

#include <sys/uio.h>

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[512];
  ssize_t got;
  long total = 0;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    MUST(write(fd, buffer, (size_t)got) == got);
    total += got;
  }
  CHECK(got == 0);
  close(fd);
  return as_pointer(total);
}

static void expect_text(const char* got, const char* wanted) { CHECK(memcmp(got, wanted, strlen(wanted)) == 0); }

static void calls(int fd) {
  char buffer[64] = {0};
  char first[3], second[8];
  struct iovec out[2] = {{(void*)"scat", 4}, {(void*)"tered", 5}};
  struct iovec in[2] = {{first, sizeof first}, {second, 6}};
  struct msghdr message;

  SHOW(write(fd, "hello", 5));
  SHOW(recv(fd, buffer, 5, MSG_WAITALL));
  expect_text(buffer, "hello");

  SHOW(send(fd, "peekaboo", 8, 0));
  SHOW(recv(fd, buffer, 8, MSG_PEEK | MSG_WAITALL));
  SHOW(recv(fd, buffer, 4, MSG_PEEK));
  SHOW(recv(fd, buffer, 8, MSG_WAITALL));
  expect_text(buffer, "peekaboo");

  SHOW(writev(fd, out, 2));
  for (size_t got = 0; got < 9;) {
    ssize_t now = got == 0 ? readv(fd, in, 2) : read(fd, buffer, 9 - got);
    MUST(now > 0);
    got += (size_t)now;
  }

  SHOW(sendto(fd, "to nobody", 9, MSG_NOSIGNAL, NULL, 0));
  SHOW(recvfrom(fd, buffer, 9, MSG_WAITALL, NULL, NULL));
  expect_text(buffer, "to nobody");

  memset(&message, 0, sizeof message);
  message.msg_iov = out;
  message.msg_iovlen = 2;
  SHOW(sendmsg(fd, &message, 0));
  in[1].iov_len = 6;
  message.msg_iov = in;
  SHOW(recvmsg(fd, &message, MSG_WAITALL));
  CHECK(message.msg_flags == 0);
  expect_text(first, "sca");
  expect_text(second, "ttered");

  // Nothing is on its way now: what must not wait says so at once.
  SHOW(recv(fd, buffer, 1, MSG_DONTWAIT));
  SHOW(recv(fd, buffer, 1, MSG_DONTWAIT | MSG_PEEK));
  SHOW(read(fd, buffer, 0));
  SHOW(readv(fd, in, 0));
  SHOW(write(fd, "", 0));
  SHOW(send(fd, "", 0, 0));

  // MSG_WAITALL gathers what arrives in pieces.
  for (int i = 0; i < 10; i++) MUST(send(fd, "0123456789" + i, 1, MSG_DONTWAIT) == 1);
  SHOW(recv(fd, buffer, 10, MSG_WAITALL));
  expect_text(buffer, "0123456789");

  // A buffer larger than what has come: a blocking read returns what there is.
  SHOW(send(fd, "abc", 3, 0));
  for (size_t got = 0; got < 3;) {
    ssize_t now = recv(fd, buffer + got, sizeof buffer - got, 0);
    MUST(now > 0);
    got += (size_t)now;
  }
  expect_text(buffer, "abc");

  // End of stream ends MSG_WAITALL early.
  SHOW(send(fd, "last", 4, 0));
  SHOW(shutdown(fd, SHUT_WR));
  SHOW(recv(fd, buffer, 20, MSG_WAITALL));
  SHOW(read(fd, buffer, 20));
  SHOW(recv(fd, buffer, 20, 0));
}

static void* client(void* argument) {
  calls((int)as_long(argument));
  return NULL;
}

static void round_trip(const char* kind, const int pair[2], int from_main) {
  say("-- %s, calls from %s", kind, from_main ? "main" : "a thread");
  pthread_t server = start_thread(echo, as_pointer(pair[1]));
  if (from_main)
    calls(pair[0]);
  else
    in_thread(client, as_pointer(pair[0]));
  say("echoed %ld", as_long(join_thread(server)));
  close(pair[0]);
}

int main(void) {
  int pair[2];
  for (int from_main = 0; from_main < 2; from_main++) {
    unix_pair(SOCK_STREAM, pair);
    round_trip("socketpair", pair, from_main);

    tcp_pair(pair);
    round_trip("tcp", pair, from_main);

    struct sockaddr_un address = unix_address("stream.sock");
    int listener = unix_bound(SOCK_STREAM, "stream.sock");
    MUST(listen(listener, 1) == 0);
    pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(connect(pair[0], (struct sockaddr*)&address, sizeof address) == 0);
    pair[1] = accept(listener, NULL, NULL);
    round_trip("unix", pair, from_main);
    close(listener);
    unlink("stream.sock");
  }
  return finish();
}
