// SPDX-License-Identifier: Apache-2.0
// connect() from a thread: done, refused, twice, non-blocking, by AF_UNIX with a full backlog, and to nobody.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>

static int connect_to(int fd, struct sockaddr_in address) {
  return connect(fd, (struct sockaddr*)&address, sizeof address);
}

static void blocking(void) {
  say("-- blocking");
  int listener = tcp_listener(8);
  struct sockaddr_in address = address_of(listener);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  SHOW(connect_to(fd, address));
  CHECK(fcntl(fd, F_GETFL) == O_RDWR);
  SHOW(connect_to(fd, address));
  close(fd);
  close(listener);

  // The port was just ours: nobody listens there now.
  fd = socket(AF_INET, SOCK_STREAM, 0);
  SHOW(connect_to(fd, address));
  CHECK(fcntl(fd, F_GETFL) == O_RDWR);
  int error = -1;
  socklen_t length = sizeof error;
  SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
  say("SO_ERROR afterwards: %s", name_of_errno(error));
  close(fd);

  SHOW(connect_to(-1, address));
  fd = socket(AF_INET, SOCK_STREAM, 0);
  SHOW(connect(fd, (struct sockaddr*)&address, 1));
  close(fd);
  int pipe_ends[2];
  MUST(pipe(pipe_ends) == 0);
  SHOW(connect_to(pipe_ends[0], address));
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

static void non_blocking(void) {
  say("-- non-blocking");
  int listener = tcp_listener(8);
  struct sockaddr_in address = address_of(listener);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  SHOW(connect_to(fd, address));
  struct pollfd writable = {fd, POLLOUT, 0};
  SHOW(poll(&writable, 1, -1));
  CHECK(writable.revents == POLLOUT);
  int error = -1;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  say("SO_ERROR: %s", name_of_errno(error));
  CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
  char byte;
  SHOW(recv(fd, &byte, 1, 0));
  int served = accept(listener, NULL, NULL);
  MUST(send(served, "z", 1, 0) == 1);
  struct pollfd readable = {fd, POLLIN, 0};
  SHOW(poll(&readable, 1, -1));
  SHOW(recv(fd, &byte, 1, 0));
  close(served);
  close(fd);
  close(listener);

  fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int result = connect_to(fd, address);
  if (result == -1 && errno == EINPROGRESS) {
    writable.fd = fd;
    MUST(poll(&writable, 1, -1) == 1);
    length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  } else {
    error = errno;
  }
  say("refused in the end: %s", name_of_errno(error));
  close(fd);
}

static sem_t connected;

static void* unix_client(void* argument) {
  struct sockaddr_un address = unix_address("connect.sock");
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(connect(fd, (struct sockaddr*)&address, sizeof address) == 0);
  sem_post(&connected);
  char byte = 0;
  MUST(recv(fd, &byte, 1, 0) == 1);
  close(fd);
  return as_pointer(byte);
}

// With the backlog full an AF_UNIX connect waits until somebody accepts.
static void unix_backlog(void) {
  say("-- unix");
  unlink("connect.sock");
  enum { kClients = 8 };
  pthread_t clients[kClients];
  int listener = unix_bound(SOCK_STREAM, "connect.sock");
  MUST(listen(listener, 1) == 0);
  for (int i = 0; i < kClients; i++) clients[i] = start_thread(unix_client, NULL);
  settle();
  int fds[kClients];
  for (int i = 0; i < kClients; i++) {
    fds[i] = accept(listener, NULL, NULL);
    MUST(fds[i] >= 0);
  }
  for (int i = 0; i < kClients; i++) sem_wait(&connected);
  for (int i = 0; i < kClients; i++) MUST(send(fds[i], "k", 1, 0) == 1);
  long sum = 0;
  for (int i = 0; i < kClients; i++) {
    sum += as_long(join_thread(clients[i])) == 'k';
    close(fds[i]);
  }
  say("%ld unix clients", sum);
  close(listener);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = unix_address("connect.sock");
  SHOW(connect(fd, (struct sockaddr*)&address, sizeof address));
  address = unix_address("nobody.sock");
  SHOW(connect(fd, (struct sockaddr*)&address, sizeof address));
  close(fd);
}

static void* all(void* unused) {
  blocking();
  non_blocking();
  unix_backlog();
  return unused;
}

int main(void) {
  sem_init(&connected, 0, 0);
  in_thread(all, NULL);
  say("-- from main");
  all(NULL);
  return finish();
}
