/* SPDX-License-Identifier: Apache-2.0 */
/* The load of bench/examples on the server of Lua scripts: connections that each hold the conversation of conversation.lua, for ever to its
 * sums, a coroutine for each, and every answer looked at.
 *     conversations PORT CONNECTIONS SECONDS
 * Prints one line of key=value. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/co.h>

enum { opening_at_once = 64, numbers = 3 };

static uint16_t port;
static co_sem_t opening = CO_SEM_INIT(opening_at_once);
static co_wait_group_t opened = CO_WAIT_GROUP_INIT, started = CO_WAIT_GROUP_INIT;
static _Atomic uint64_t answers, errors;
static uint64_t until;

/* Says a line and hears what must come; 0: so it was. */
static int say(int fd, const char* line, const char* wanted) {
  char heard[256];
  size_t length = strlen(wanted), got = 0;
  if (line != NULL && send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) return -1;
  while (got < length) {
    ssize_t more = recv(fd, heard + got, length - got, 0);
    if (more <= 0) return -1;
    got += (size_t)more;
  }
  return memcmp(heard, wanted, length) == 0 ? 0 : -1;
}

static int greet(int fd) {
  return say(fd, NULL, "who are you?\n") != 0 || say(fd, "load\n", "hello load, how many numbers?\n") != 0;
}

/* One sum: as many requests and answers as there are numbers, and one. */
static int add(int fd, int number) {
  char line[32], wanted[96];
  snprintf(line, sizeof line, "%d\n", numbers);
  int wrong = say(fd, line, "number 1 of 3?\n");
  snprintf(line, sizeof line, "%d\n", number);
  wrong = wrong || say(fd, line, "number 2 of 3?\n") || say(fd, line, "number 3 of 3?\n");
  snprintf(wanted, sizeof wanted, "their sum is %d; how many numbers?\n", number * numbers);
  return wrong || say(fd, line, wanted);
}

static int converse(void* argument) {
  struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
  int on = 1, number = (int)(intptr_t)argument;
  co_sem_wait(&opening);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int wrong = connect(fd, (struct sockaddr*)&address, sizeof address) != 0 || greet(fd);
  if (wrong && errors++ == 0) perror("conversations: a connection");
  co_sem_post(&opening);
  co_wait_group_done(&opened);
  co_wait_group_wait(&started);
  while (!wrong && co_now() < until) {
    wrong = add(fd, number++);
    if (wrong) errors++;
    if (!wrong) answers += numbers + 1;
  }
  close(fd);
  return 0;
}

int main(int count, char** words) {
  int connections = count == 4 ? atoi(words[2]) : 0;
  if (connections < 1) return fprintf(stderr, "usage: conversations PORT CONNECTIONS SECONDS\n"), 2;
  port = (uint16_t)atoi(words[1]);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  co_scope_t scope;
  co_scope_init(&scope);
  co_wait_group_add(&opened, connections);
  co_wait_group_add(&started, 1);
  for (int i = 0; i < connections; i++)
    if (co_scope_spawn(&scope, converse, (void*)(intptr_t)i, NULL) != 0) return 2;
  co_wait_group_wait(&opened);
  uint64_t since = co_now();
  until = since + (uint64_t)(atof(words[3]) * 1e9);
  co_wait_group_done(&started);
  co_scope_wait(&scope);
  printf("connections=%d answers=%llu errors=%llu rps=%.1f\n", connections, (unsigned long long)answers,
         (unsigned long long)errors, (double)answers * 1e9 / (double)(co_now() - since));
  return errors != 0 || answers == 0;
}
