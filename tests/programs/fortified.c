// SPDX-License-Identifier: Apache-2.0
// Calls with buffers whose size the compiler knows and lengths it does not: built with _FORTIFY_SOURCE these are the
// checked names, which is what the binaries of distributions really call.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>

static volatile size_t length = 16;
static volatile nfds_t entry_count = 1;
static volatile int open_flags = O_RDONLY;

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[64];
  for (int i = 0;; i++) {
    ssize_t got = i % 3 == 0   ? read(fd, buffer, length)
                  : i % 3 == 1 ? recv(fd, buffer, length, 0)
                               : recvfrom(fd, buffer, length, 0, NULL, NULL);
    if (got <= 0) break;
    MUST(send(fd, buffer, (size_t)got, MSG_NOSIGNAL) == got);
  }
  close(fd);
  return NULL;
}

static void* calls(void* unused) {
  int pair[2];
  char buffer[32];
  tcp_pair(pair);
  pthread_t thread = start_thread(echo, as_pointer(pair[1]));
  settle();
  for (int i = 0; i < 6; i++) {
    struct pollfd entries[2] = {{pair[0], POLLIN, 0}, {-1, 0, 0}};
    struct timespec long_time = {100, 0};
    MUST(send(pair[0], "echo", 4, 0) == 4);
    if (i % 2 == 0)
      SHOW(poll(entries, entry_count, -1));
    else
      SHOW(ppoll(entries, entry_count, &long_time, NULL));
    SHOW(recv(pair[0], buffer, length, 0));
  }
  SHOW(recv(pair[0], buffer, length, MSG_DONTWAIT));
  SHOW(recvfrom(pair[0], buffer, length, MSG_DONTWAIT, NULL, NULL));
  close(pair[0]);
  join_thread(thread);
  close(creat("file", 0600));
  int fd = open("file", open_flags);
  SHOW(read(fd, buffer, length));
  close(fd);
  fd = openat(AT_FDCWD, "file", open_flags);
  SHOW(read(fd, buffer, length));
  close(fd);
  fd = open64("file", open_flags);
  SHOW(read(fd, buffer, length));
  close(fd);
  fd = openat64(AT_FDCWD, "file", open_flags);
  SHOW(read(fd, buffer, length));
  close(fd);
  return unused;
}

int main(void) {
  in_thread(calls, NULL);
  calls(NULL);
  return finish();
}
