/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP proxy that keeps half-closed connections: when one side has nothing more to send, the other is told so and
 * may go on answering. Two coroutines for each connection, one a direction; an error of either ends both.
 *     tcp_proxy TARGET_PORT [PORT] */
#include <errno.h>
#include <weft/co.h>

#include "sockets.h"

struct direction {
  int from, to;
};

static int pump(void* argument) {
  struct direction* direction = argument;
  char bytes[16384];
  ssize_t got;
  while ((got = read(direction->from, bytes, sizeof bytes)) > 0)
    if (send(direction->to, bytes, (size_t)got, MSG_NOSIGNAL) != got) return errno;
  if (got < 0) return errno;
  shutdown(direction->to, SHUT_WR);
  return 0;
}

static void serve(int client, void* port) {
  int server = connect_to(*(uint16_t*)port), on = 1;
  if (server >= 0) {
    struct direction there = {client, server}, back = {server, client};
    co_scope_t scope;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    co_scope_init(&scope);
    if (co_scope_spawn(&scope, pump, &there, NULL) == 0) co_scope_spawn(&scope, pump, &back, NULL);
    co_scope_wait(&scope);
    close(server);
  }
  close(client);
}

int main(int count, char** words) {
  if (count < 2) return fprintf(stderr, "usage: %s TARGET_PORT [PORT]\n", words[0]), 2;
  uint16_t target = (uint16_t)atoi(words[1]);
  raise_descriptor_limit();
  int listener = listen_at((uint16_t)(count > 2 ? atoi(words[2]) : 0));
  announce(listener);
  return co_listen_and_serve(listener, serve, &target);
}
