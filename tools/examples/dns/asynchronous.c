/* SPDX-License-Identifier: Apache-2.0 */
/* 1,000 look-ups at once in one thread: epoll, and for each look-up a record of how far it has come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet.h"

enum state { unused, awaiting_udp, connecting, sending, receiving_length, receiving };

struct look_up {
  enum state state;
  int index, fd, tries;
  uint16_t id;
  double deadline;
  size_t size, done, wanted; /* of the question; of the message sent or received; of the message */
  uint8_t question[dns_packet_size];
  uint8_t message[2 + dns_message_size];
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct in_addr addresses[dns_look_ups];
static struct look_up look_ups[dns_at_once];
static int poller, begun, finished;

static void begin_next(struct look_up* one);

static void wait_until(struct look_up* one, enum state state, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = one};
  one->state = state;
  epoll_ctl(poller, EPOLL_CTL_MOD, one->fd, &event);
}

static void give_more_time(struct look_up* one) { one->deadline = dns_clock() + dns_wait_ms / 1e3; }

static int open_socket(struct look_up* one, int type, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = one};
  one->fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
  if (one->fd < 0) return -1;
  if ((connect(one->fd, (struct sockaddr*)&server, sizeof server) == 0 || errno == EINPROGRESS) &&
      epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &event) == 0)
    return 0;
  close(one->fd);
  one->fd = -1;
  return -1;
}

static void finish(struct look_up* one) {
  if (one->fd >= 0) close(one->fd);
  one->fd = -1;
  one->state = unused;
  finished++;
  begin_next(one);
}

static void send_by_udp(struct look_up* one) {
  give_more_time(one);
  if (++one->tries > dns_tries || send(one->fd, one->question, one->size, 0) < 0) finish(one);
}

static void begin_next(struct look_up* one) {
  char name[64];
  if (begun == dns_look_ups) return;
  one->index = begun++;
  one->tries = 0;
  dns_name(name, one->index);
  if (getrandom(&one->id, sizeof one->id, 0) != sizeof one->id || open_socket(one, SOCK_DGRAM, EPOLLIN) != 0) {
    finish(one);
    return;
  }
  one->size = dns_question(one->question, one->id, name);
  one->state = awaiting_udp;
  send_by_udp(one);
}

static void begin_tcp(struct look_up* one) {
  close(one->fd);
  give_more_time(one);
  one->state = connecting;
  if (open_socket(one, SOCK_STREAM, EPOLLOUT) != 0) finish(one);
}

static void receive_by_udp(struct look_up* one) {
  ssize_t got = recv(one->fd, one->message, dns_packet_size, 0);
  if (got < 0) {
    if (errno != EAGAIN) finish(one);
    return;
  }
  switch (dns_answer(one->message, (size_t)got, one->id, &addresses[one->index])) {
    case dns_truncated:
      begin_tcp(one);
      break;
    case dns_foreign:
      break;
    default:
      finish(one);
  }
}

static void send_by_tcp(struct look_up* one) {
  ssize_t sent = send(one->fd, one->message + one->done, one->wanted - one->done, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) finish(one);
    return;
  }
  one->done += (size_t)sent;
  if (one->done < one->wanted) return;
  one->done = 0;
  one->wanted = 2;
  give_more_time(one);
  wait_until(one, receiving_length, EPOLLIN);
}

static void connected(struct look_up* one) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
    finish(one);
    return;
  }
  one->message[0] = (uint8_t)(one->size >> 8);
  one->message[1] = (uint8_t)one->size;
  memcpy(one->message + 2, one->question, one->size);
  one->done = 0;
  one->wanted = 2 + one->size;
  one->state = sending;
  send_by_tcp(one);
}

static void receive_by_tcp(struct look_up* one) {
  ssize_t got = recv(one->fd, one->message + one->done, one->wanted - one->done, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) finish(one);
    return;
  }
  one->done += (size_t)got;
  if (one->done < one->wanted) return;
  if (one->state == receiving_length) {
    one->wanted = (size_t)(one->message[0] << 8 | one->message[1]);
    one->done = 0;
    one->state = receiving;
    give_more_time(one);
    if (one->wanted == 0 || one->wanted > dns_message_size) finish(one);
    return;
  }
  dns_answer(one->message, one->wanted, one->id, &addresses[one->index]);
  finish(one);
}

static void advance(struct look_up* one) {
  switch (one->state) {
    case awaiting_udp:
      receive_by_udp(one);
      break;
    case connecting:
      connected(one);
      break;
    case sending:
      send_by_tcp(one);
      break;
    case receiving_length:
    case receiving:
      receive_by_tcp(one);
      break;
    case unused:
      break;
  }
}

/* Acts on what is late, and returns the milliseconds until something else will be. */
static int expire(void) {
  double now = dns_clock(), earliest = now + dns_wait_ms / 1e3;
  for (int i = 0; i < dns_at_once; i++) {
    struct look_up* one = &look_ups[i];
    if (one->state != unused && one->deadline <= now) {
      if (one->state == awaiting_udp)
        send_by_udp(one);
      else
        finish(one);
    }
    if (one->state != unused && one->deadline < earliest) earliest = one->deadline;
  }
  return (int)((earliest - now) * 1e3) + 1;
}

int main(int count, char** words) {
  if (count != 2) return fprintf(stderr, "usage: %s PORT\n", words[0]), 2;
  server.sin_port = htons((uint16_t)atoi(words[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  poller = epoll_create1(0);
  if (poller < 0) return perror(words[0]), 1;
  double since = dns_clock();
  for (int i = 0; i < dns_at_once; i++) begin_next(&look_ups[i]);
  while (finished < dns_look_ups) {
    struct epoll_event events[64];
    int happened = epoll_wait(poller, events, 64, expire());
    for (int i = 0; i < happened; i++) advance(events[i].data.ptr);
  }
  dns_report(addresses, dns_clock() - since);
  return 0;
}
