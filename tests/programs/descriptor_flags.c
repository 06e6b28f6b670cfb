// SPDX-License-Identifier: Apache-2.0
// Nothing changes on the program's descriptors: flags while another thread waits on them, and the lowest free number.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

// The large-file name, which no header declares.
extern int fcntl64(int fd, int command, ...);

static sem_t about_to_wait;

static void* reader(void* argument) {
  char buffer[8];
  sem_post(&about_to_wait);
  return as_pointer(read((int)as_long(argument), buffer, sizeof buffer));
}

static void flags_while_waiting(const char* kind, int fd, int other) {
  char eight[8] = {1};
  int status = fcntl(fd, F_GETFL), descriptor = fcntl(fd, F_GETFD);
  pthread_t thread = start_thread(reader, as_pointer(fd));
  sem_wait(&about_to_wait);
  settle();
  say("%s: flags while somebody waits %#o %#o", kind, fcntl(fd, F_GETFL) & ~O_LARGEFILE, fcntl(fd, F_GETFD));
  CHECK(fcntl(fd, F_GETFL) == status);
  CHECK(fcntl(fd, F_GETFD) == descriptor);
  MUST(write(other, eight, sizeof eight) == 8);
  say("%s: read %ld", kind, as_long(join_thread(thread)));
  CHECK(fcntl(fd, F_GETFL) == status);
  CHECK(fcntl(fd, F_GETFD) == descriptor);
}

static void* lowest(void* unused) {
  int first = open("/dev/null", O_RDONLY);
  int second = dup(first);
  CHECK(second == first + 1);
  close(first);
  int ends[2];
  MUST(pipe(ends) == 0);
  CHECK(ends[0] == first && ends[1] == second + 1);
  int event = eventfd(0, EFD_CLOEXEC);
  CHECK(event == ends[1] + 1);
  CHECK(fcntl(event, F_GETFD) == FD_CLOEXEC);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  CHECK(fd == event + 1);
  CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
  close(fd);
  close(event);
  close(ends[0]);
  close(ends[1]);
  close(second);
  say("lowest free number: %d", dup(STDOUT_FILENO));
  close(first);
  return unused;
}

// The program's own O_NONBLOCK, set in three ways and taken back: then waits are waits again.
static void* own_non_blocking(void* unused) {
  int pair[2], on = 1, off = 0;
  char byte;
  unix_pair(SOCK_STREAM, pair);
  SHOW(fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK));
  SHOW(read(pair[0], &byte, 1));
  SHOW(fcntl(pair[0], F_SETFL, O_RDWR));
  MUST(write(pair[1], "a", 1) == 1);
  SHOW(read(pair[0], &byte, 1));
  SHOW(ioctl(pair[0], FIONBIO, &on));
  SHOW(recv(pair[0], &byte, 1, 0));
  CHECK(fcntl(pair[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
  SHOW(ioctl(pair[0], FIONBIO, &off));
  CHECK(fcntl(pair[0], F_GETFL) == O_RDWR);
  MUST(write(pair[1], "bc", 2) == 2);
  int waiting = -1;
  SHOW(ioctl(pair[0], FIONREAD, &waiting));
  say("FIONREAD: %d", waiting);
  SHOW(read(pair[0], &byte, 1));
  SHOW(fcntl64(pair[0], F_SETFL, O_RDWR | O_NONBLOCK));
  CHECK(fcntl64(pair[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
  SHOW(fcntl64(pair[0], F_SETFL, O_RDWR));
  // The flag is the description's: a duplicate sees it.
  int copy = dup(pair[0]);
  SHOW(fcntl(copy, F_SETFL, O_RDWR | O_NONBLOCK));
  SHOW(read(pair[0], &byte, 1));
  SHOW(read(pair[0], &byte, 1));
  close(copy);
  close(pair[0]);
  close(pair[1]);

  MUST(pipe2(pair, O_NONBLOCK | O_CLOEXEC) == 0);
  SHOW(read(pair[0], &byte, 1));
  CHECK(fcntl(pair[1], F_GETFD) == FD_CLOEXEC);
  static char block[1 << 17];
  ssize_t wrote = write(pair[1], block, sizeof block);
  CHECK(wrote > 0 && wrote < (ssize_t)sizeof block);
  SHOW(write(pair[1], block, sizeof block));
  close(pair[0]);
  close(pair[1]);
  return unused;
}

int main(void) {
  int pair[2];
  sem_init(&about_to_wait, 0, 0);
  in_thread(lowest, NULL);
  unix_pair(SOCK_STREAM, pair);
  flags_while_waiting("socketpair", pair[0], pair[1]);
  tcp_pair(pair);
  MUST(fcntl(pair[0], F_SETFD, FD_CLOEXEC) == 0);
  flags_while_waiting("tcp", pair[0], pair[1]);
  int ends[2];
  MUST(pipe(ends) == 0);
  flags_while_waiting("pipe", ends[0], ends[1]);
  int event = eventfd(0, 0);
  flags_while_waiting("eventfd", event, event);
  in_thread(own_non_blocking, NULL);
  return finish();
}
