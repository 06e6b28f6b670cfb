/* SPDX-License-Identifier: Apache-2.0 */
/* 1,000 look-ups at once, each in a coroutine. A look-up is written as in synchronous.c, to the letter: only main
 * differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <weft/co.h>

#include "packet.h"

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct in_addr addresses[dns_look_ups];
static co_sem_t room = CO_SEM_INIT(dns_at_once);

static int open_socket(int type) {
  struct timeval wait = {.tv_sec = dns_wait_ms / 1000, .tv_usec = dns_wait_ms % 1000 * 1000};
  int fd = socket(AF_INET, type, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  if (connect(fd, (struct sockaddr*)&server, sizeof server) == 0) return fd;
  close(fd);
  return -1;
}

/* dns_foreign: nothing came in time. */
static enum dns_kind ask_once(int fd, const uint8_t* question, size_t size, uint16_t id, struct in_addr* address) {
  uint8_t answer[dns_packet_size];
  enum dns_kind kind = dns_foreign;
  ssize_t got = send(fd, question, size, 0);
  while (got >= 0 && kind == dns_foreign) {
    got = recv(fd, answer, sizeof answer, 0);
    if (got >= 0) kind = dns_answer(answer, (size_t)got, id, address);
  }
  return kind;
}

static enum dns_kind ask_by_udp(const uint8_t* question, size_t size, uint16_t id, struct in_addr* address) {
  int fd = open_socket(SOCK_DGRAM);
  enum dns_kind kind = dns_foreign;
  if (fd < 0) return kind;
  for (int tries = 0; tries < dns_tries && kind == dns_foreign; tries++)
    kind = ask_once(fd, question, size, id, address);
  close(fd);
  return kind;
}

static void ask_by_tcp(const uint8_t* question, size_t size, uint16_t id, struct in_addr* address) {
  uint8_t message[dns_message_size] = {(uint8_t)(size >> 8), (uint8_t)size};
  int fd = open_socket(SOCK_STREAM);
  if (fd < 0) return;
  memcpy(message + 2, question, size);
  if (send(fd, message, 2 + size, MSG_NOSIGNAL) >= 0 && recv(fd, message, 2, MSG_WAITALL) == 2) {
    size_t length = (size_t)(message[0] << 8 | message[1]);
    if (length <= sizeof message && recv(fd, message, length, MSG_WAITALL) == (ssize_t)length)
      dns_answer(message, length, id, address);
  }
  close(fd);
}

static void look_up(int index) {
  char name[64];
  uint8_t question[dns_packet_size];
  uint16_t id;
  if (getrandom(&id, sizeof id, 0) != sizeof id) return;
  dns_name(name, index);
  size_t size = dns_question(question, id, name);
  if (ask_by_udp(question, size, id, &addresses[index]) == dns_truncated)
    ask_by_tcp(question, size, id, &addresses[index]);
}

static int look_up_when_there_is_room(void* index) {
  int error = co_sem_wait(&room);
  if (error != 0) return error;
  look_up((int)(intptr_t)index);
  co_sem_post(&room);
  return 0;
}

int main(int count, char** words) {
  if (count != 2) return fprintf(stderr, "usage: %s PORT\n", words[0]), 2;
  server.sin_port = htons((uint16_t)atoi(words[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  double begun = dns_clock();
  co_scope_t scope;
  int error = co_scope_init(&scope);
  for (int index = 0; index < dns_look_ups && error == 0; index++)
    error = co_scope_spawn(&scope, look_up_when_there_is_room, (void*)(intptr_t)index, NULL);
  int failed = co_scope_wait(&scope);
  if (error != 0 || failed != 0) return fprintf(stderr, "%s: %s\n", words[0], strerror(error ? error : failed)), 1;
  dns_report(addresses, dns_clock() - begun);
  return 0;
}
