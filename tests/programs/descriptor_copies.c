// SPDX-License-Identifier: Apache-2.0
// dup, dup2, dup3, F_DUPFD and SCM_RIGHTS: each number waits and wakes by itself, whatever the others do.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>

static sem_t about_to_wait;

static void* reader(void* argument) {
  char byte = '-';
  sem_post(&about_to_wait);
  if (read((int)as_long(argument), &byte, 1) != 1) byte = '!';
  return as_pointer(byte);
}

static pthread_t waiting_reader(int fd) {
  pthread_t thread = start_thread(reader, as_pointer(fd));
  sem_wait(&about_to_wait);
  settle();
  return thread;
}

static void send_descriptor(int over, int fd) {
  char control[CMSG_SPACE(sizeof fd)];
  struct iovec part = {(void*)"d", 1};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  memset(control, 0, sizeof control);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  MUST(sendmsg(over, &message, 0) == 1);
}

static void* receive_descriptor(void* argument) {
  int over = (int)as_long(argument), fd = -1;
  char control[CMSG_SPACE(sizeof fd)], byte;
  struct iovec part = {&byte, 1};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  sem_post(&about_to_wait);
  MUST(recvmsg(over, &message, MSG_CMSG_CLOEXEC) == 1);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  MUST(header != NULL && header->cmsg_type == SCM_RIGHTS);
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return as_pointer(fd);
}

int main(void) {
  int pair[2], other[2], carrier[2];
  sem_init(&about_to_wait, 0, 0);

  // Two numbers of one description, a reader on each: one byte each.
  unix_pair(SOCK_STREAM, pair);
  int copy = dup(pair[0]);
  pthread_t first = waiting_reader(pair[0]), second = waiting_reader(copy);
  MUST(write(pair[1], "ab", 2) == 2);
  long a = as_long(join_thread(first)), b = as_long(join_thread(second));
  say("two copies: %c and %c", (int)(a < b ? a : b), (int)(a < b ? b : a));
  // The first number goes; the copy is as good as before.
  close(pair[0]);
  first = waiting_reader(copy);
  MUST(write(pair[1], "c", 1) == 1);
  say("after close of the other: %c", (int)as_long(join_thread(first)));

  // dup2 over a number that was waited on: the new description counts.
  unix_pair(SOCK_STREAM, other);
  SHOW(dup2(other[0], copy) == copy);
  first = waiting_reader(copy);
  MUST(write(other[1], "d", 1) == 1);
  say("dup2: %c", (int)as_long(join_thread(first)));
  char byte;
  SHOW(send(pair[1], "x", 1, MSG_NOSIGNAL));
  SHOW(dup2(copy, copy) == copy);
  SHOW(dup3(copy, copy, 0));
  SHOW(dup2(-1, copy));
  SHOW(dup2(copy, -1));
  SHOW(dup3(other[0], copy, O_CLOEXEC) == copy);
  CHECK(fcntl(copy, F_GETFD) == FD_CLOEXEC);
  first = waiting_reader(copy);
  MUST(write(other[1], "e", 1) == 1);
  say("dup3: %c", (int)as_long(join_thread(first)));

  int high = fcntl(copy, F_DUPFD, 200);
  say("F_DUPFD: %d", high);
  int higher = fcntl(copy, F_DUPFD_CLOEXEC, 200);
  say("F_DUPFD_CLOEXEC: %d %d", higher, fcntl(higher, F_GETFD));
  first = waiting_reader(high);
  second = waiting_reader(higher);
  MUST(write(other[1], "ff", 2) == 2);
  say("both: %c %c", (int)as_long(join_thread(first)), (int)as_long(join_thread(second)));
  close(copy);
  close(high);
  close(higher);

  // Passed through a socket the description arrives under a new number in a thread that was waiting for it.
  unix_pair(SOCK_DGRAM, carrier);
  pthread_t receiver = start_thread(receive_descriptor, as_pointer(carrier[1]));
  sem_wait(&about_to_wait);
  settle();
  send_descriptor(carrier[0], other[0]);
  int passed = (int)as_long(join_thread(receiver));
  CHECK(fcntl(passed, F_GETFD) == FD_CLOEXEC);
  close(other[0]);
  first = waiting_reader(passed);
  MUST(write(other[1], "g", 1) == 1);
  say("passed: %c", (int)as_long(join_thread(first)));
  // The number is reused by the next arrival for something else altogether.
  int ends[2];
  MUST(pipe(ends) == 0);
  close(passed);
  receiver = start_thread(receive_descriptor, as_pointer(carrier[1]));
  sem_wait(&about_to_wait);
  send_descriptor(carrier[0], ends[0]);
  int again = (int)as_long(join_thread(receiver));
  CHECK(again == passed);
  first = waiting_reader(again);
  MUST(write(ends[1], "h", 1) == 1);
  say("number reused: %c", (int)as_long(join_thread(first)));
  SHOW(close(again));
  SHOW(close(again));
  SHOW(read(again, &byte, 1));
  return finish();
}
