// SPDX-License-Identifier: Apache-2.0
// close() while another thread waits in read, and the number reused at once: the sleeper keeps what it sleeps on.
//
// Only time can tell that the reader has got into its wait; where it has not, the run differs, so the pause is
// generous.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>

static sem_t about_to_wait;

struct waiter {
  int fd;
  ssize_t result;
  int error;
  char byte;
};

static void* reader(void* argument) {
  struct waiter* waiter = argument;
  sem_post(&about_to_wait);
  errno = 0;
  waiter->result = read(waiter->fd, &waiter->byte, 1);
  waiter->error = errno;
  return NULL;
}

static int close_it(int fd) { return close(fd); }
static int close_as_stream(int fd) { return fclose(fdopen(fd, "r")); }

static void one(const char* kind, int near, int far, int (*close_by)(int)) {
  struct waiter waiter = {near, -2, 0, '-'}, second = {near, -2, 0, '-'};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  settle();
  CHECK(close_by(near) == 0);
  CHECK(fcntl(near, F_GETFD) == -1 && errno == EBADF);

  // The number belongs to another description now, which has a reader of its own.
  int other[2];
  unix_pair(SOCK_STREAM, other);
  CHECK(other[0] == near);
  pthread_t second_thread = start_thread(reader, &second);
  sem_wait(&about_to_wait);
  settle();
  MUST(write(far, "1", 1) == 1);
  join_thread(thread);
  say("%s: the sleeper got %zd '%c' %s", kind, waiter.result, waiter.byte, name_of_errno(waiter.error));
  CHECK(second.result == -2);
  MUST(write(other[1], "2", 1) == 1);
  join_thread(second_thread);
  say("%s: the new owner of the number got %zd '%c'", kind, second.result, second.byte);
  close(other[0]);
  close(other[1]);
  close(far);
}

static void dup_over(int near, int far) {
  struct waiter waiter = {near, -2, 0, '-'};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  settle();
  int other[2];
  unix_pair(SOCK_STREAM, other);
  CHECK(dup2(other[0], near) == near);
  MUST(write(other[1], "n", 1) == 1);
  MUST(write(far, "o", 1) == 1);
  join_thread(thread);
  say("dup2 over it: the sleeper got %zd '%c'", waiter.result, waiter.byte);
  char byte = '-';
  say("and the number reads %zd", read(near, &byte, 1));
  CHECK(byte == 'n');
  close(near);
  close(other[0]);
  close(other[1]);
  close(far);
}

int main(void) {
  int pair[2];
  sem_init(&about_to_wait, 0, 0);
  unix_pair(SOCK_STREAM, pair);
  one("socketpair", pair[0], pair[1], close_it);
  unix_pair(SOCK_STREAM, pair);
  one("socketpair, as a stream", pair[0], pair[1], close_as_stream);
  tcp_pair(pair);
  // The listener's number is free again; the sleeper's has to be the lowest, for the next description to take it.
  int lowest = dup(pair[0]);
  close(pair[0]);
  one("tcp", lowest, pair[1], close_it);
  MUST(pipe(pair) == 0);
  one("pipe", pair[0], pair[1], close_it);
  unix_pair(SOCK_STREAM, pair);
  dup_over(pair[0], pair[1]);
  return finish();
}
