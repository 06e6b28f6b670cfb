// SPDX-License-Identifier: Apache-2.0
// Datagram sockets: truncation, zero length, the many-messages calls, addresses, and a full AF_UNIX queue.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/uio.h>

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[256];
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    MUST(got >= 0);
    if (got == 4 && memcmp(buffer, "quit", 4) == 0) return NULL;
    MUST(send(fd, buffer, (size_t)got, 0) == got);
  }
}

static void* calls(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[64];

  SHOW(send(fd, "0123456789", 10, 0));
  SHOW(recv(fd, buffer, 4, MSG_PEEK | MSG_TRUNC));
  SHOW(recv(fd, buffer, 4, MSG_TRUNC));
  SHOW(recv(fd, buffer, 4, MSG_DONTWAIT));

  // A zero-length read takes nothing, natively: the datagram is still there for the next call.
  SHOW(send(fd, "abc", 3, 0));
  struct pollfd readable = {fd, POLLIN, 0};
  SHOW(poll(&readable, 1, -1));
  SHOW(read(fd, buffer, 0));
  SHOW(readv(fd, NULL, 0));
  SHOW(recv(fd, buffer, sizeof buffer, 0));

  // An empty datagram is a message, not the end.
  SHOW(send(fd, "", 0, 0));
  SHOW(recv(fd, buffer, sizeof buffer, 0));
  SHOW(send(fd, "x", 1, 0));
  SHOW(read(fd, buffer, sizeof buffer));

  struct mmsghdr out[3], in[5];
  struct iovec out_parts[3], in_parts[5];
  char space[5][16];
  memset(out, 0, sizeof out);
  memset(in, 0, sizeof in);
  for (int i = 0; i < 3; i++) {
    out_parts[i].iov_base = (void*)"datagrams";
    out_parts[i].iov_len = (size_t)(3 + i);
    out[i].msg_hdr.msg_iov = &out_parts[i];
    out[i].msg_hdr.msg_iovlen = 1;
  }
  for (int i = 0; i < 5; i++) {
    in_parts[i].iov_base = space[i];
    in_parts[i].iov_len = sizeof space[i];
    in[i].msg_hdr.msg_iov = &in_parts[i];
    in[i].msg_hdr.msg_iovlen = 1;
  }
  SHOW(sendmmsg(fd, out, 3, 0));
  SHOW(recvmmsg(fd, in, 3, 0, NULL));
  for (int i = 0; i < 3; i++) say("message %d: %u bytes sent, %u received", i, out[i].msg_len, in[i].msg_len);
  SHOW(recvmmsg(fd, in, 5, MSG_DONTWAIT, NULL));

  // MSG_WAITFORONE: the first is waited for, the others only if they are there.
  SHOW(send(fd, "one", 3, 0));
  SHOW(recvmmsg(fd, in, 5, MSG_WAITFORONE, NULL));

  struct msghdr message;
  struct iovec part = {buffer, 2};
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  SHOW(send(fd, "cut off", 7, 0));
  SHOW(recvmsg(fd, &message, 0));
  CHECK(message.msg_flags == MSG_TRUNC);
  SHOW(send(fd, "quit", 4, 0));
  return NULL;
}

static void round_trip(const char* kind, const int pair[2]) {
  say("-- %s", kind);
  pthread_t server = start_thread(echo, as_pointer(pair[1]));
  in_thread(calls, as_pointer(pair[0]));
  join_thread(server);
  close(pair[0]);
  close(pair[1]);
}

// Addresses come back right from a wait that had nothing to read at first.
static void* answer_once(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[16];
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr*)&from, &length);
  CHECK(length == sizeof from);
  CHECK(sendto(fd, buffer, (size_t)got, 0, (struct sockaddr*)&from, length) == got);
  return NULL;
}

static void addresses(void) {
  int server = udp_socket(), client = udp_socket();
  pthread_t thread = start_thread(answer_once, as_pointer(server));
  struct sockaddr_in to = address_of(server), from;
  socklen_t length = sizeof from;
  char buffer[16];
  SHOW(sendto(client, "ping", 4, 0, (struct sockaddr*)&to, sizeof to));
  SHOW(recvfrom(client, buffer, sizeof buffer, 0, (struct sockaddr*)&from, &length));
  CHECK(from.sin_port == to.sin_port);
  join_thread(thread);
  close(server);
  close(client);
}

enum { kMessages = 300 };

// An addressed send to a receiver whose queue is full waits, and no event of the sender's own socket tells when it may
// go on.
static void* send_many(void* argument) {
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct sockaddr_un to = unix_address("datagrams.sock");
  long sent = 0;
  for (int i = 0; i < kMessages; i++) sent += sendto(fd, &i, sizeof i, 0, (struct sockaddr*)&to, sizeof to) == sizeof i;
  close(fd);
  return as_pointer(sent);
}

static void full_queue(void) {
  int receiver = unix_bound(SOCK_DGRAM, "datagrams.sock");
  pthread_t senders[2] = {start_thread(send_many, NULL), start_thread(send_many, NULL)};
  settle();
  long received = 0, sum = 0;
  for (; received < 2 * kMessages; received++) {
    int value = -1;
    MUST(recv(receiver, &value, sizeof value, 0) == sizeof value);
    sum += value;
  }
  long sent = as_long(join_thread(senders[0])) + as_long(join_thread(senders[1]));
  say("full queue: %ld sent, %ld received, sum %ld", sent, received, sum);
  close(receiver);
}

// Nobody there: the waiting receiver of a connected socket is told.
static sem_t about_to_wait;

static void* receives(void* argument) {
  char buffer[8];
  sem_post(&about_to_wait);
  errno = 0;
  return as_pointer(recv((int)as_long(argument), buffer, sizeof buffer, 0) == -1 ? errno : 0);
}

static void nobody(void) {
  int pair[2];
  udp_pair(pair);
  sem_init(&about_to_wait, 0, 0);
  close(pair[1]);
  pthread_t thread = start_thread(receives, as_pointer(pair[0]));
  sem_wait(&about_to_wait);
  settle();
  SHOW(send(pair[0], "x", 1, 0));
  say("nobody there: %s", name_of_errno((int)as_long(join_thread(thread))));
  close(pair[0]);
}

int main(void) {
  int pair[2];
  unix_pair(SOCK_DGRAM, pair);
  round_trip("unix datagrams", pair);
  unix_pair(SOCK_SEQPACKET, pair);
  round_trip("unix packets", pair);
  udp_pair(pair);
  round_trip("udp", pair);
  addresses();
  full_queue();
  nobody();
  return finish();
}
