// SPDX-License-Identifier: Apache-2.0
// Offloaded work, and servers.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static void* square(void* value) { return (void*)((intptr_t)value * (intptr_t)value); }

static void offloads(void) {
  void* result = NULL;
  EQUAL(co_offload(square, (void*)7, &result), 0);
  EQUAL((intptr_t)result, 49);
  EQUAL(co_offload(square, (void*)7, NULL), 0);
  EQUAL(co_offload_limit(0), EINVAL);
}

static _Thread_local int own;
static void* see_own(void* value) {
  EQUAL(own, (intptr_t)value);
  EQUAL(co_sleep(kMillisecond), 0);
  own++;
  return (void*)(uintptr_t)co_self();
}
static void same_coroutine(void) {
  void* self = NULL;
  own = 4;
  EQUAL(co_offload(see_own, (void*)4, &self), 0);
  EQUAL(own, 5);
  EQUAL((uintptr_t)self, co_self());
}

// As many as the limit says at once, others meanwhile; a wait for a turn ends as any.
static atomic_int inside, most_inside, go_on;
static void* stay(void* unused) {
  (void)unused;
  int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
  while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {
  }
  // Past all hooks.
  while (!atomic_load(&go_on)) syscall(SYS_sched_yield);
  atomic_fetch_sub(&inside, 1);
  return NULL;
}
static void* offload_stay(void* unused) { return (void*)(intptr_t)co_offload(stay, unused, NULL); }
static void bounded(void) {
  atomic_store(&go_on, 0);
  atomic_store(&most_inside, 0);
  EQUAL(co_offload_limit(2), 0);
  co_t made[6];
  for (int i = 0; i < 6; i++) made[i] = begin(offload_stay, NULL);
  while (atomic_load(&inside) < 2) co_yield ();
  co_t refused = begin(offload_stay, NULL);
  settle();
  EQUAL(co_cancel(refused), 0);
  EQUAL((intptr_t)end(refused), ECANCELED);
  atomic_store(&go_on, 1);
  for (int i = 0; i < 6; i++) EQUAL((intptr_t)end(made[i]), 0);
  EQUAL(atomic_load(&most_inside), 2);
  EQUAL(co_offload_limit(64), 0);
}

static int listener(int type) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  MUST(fd >= 0 && bind(fd, (struct sockaddr*)&address, sizeof address) == 0);
  if (type == SOCK_STREAM) MUST(listen(fd, 64) == 0);
  return fd;
}
static int connect_to(int fd) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  MUST(getsockname(fd, (struct sockaddr*)&address, &size) == 0);
  MUST(client >= 0 && connect(client, (struct sockaddr*)&address, size) == 0);
  return client;
}

static atomic_int served, begun;
static void echo(int fd, void* server) {
  char bytes[64];
  ssize_t length;
  CHECK(co_self() != 0);
  CHECK(server == &served);
  struct timeval none = {0, 0};  // the listener's limit is its connections' too
  MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none) == 0);
  while ((length = read(fd, bytes, sizeof bytes)) > 0) EQUAL(write(fd, bytes, (size_t)length), length);
  close(fd);
  atomic_fetch_add(&served, 1);
}
static void* serve(void* fd) {
  atomic_store(&begun, 1);
  errno = 55;
  int error = co_listen_and_serve(*(int*)fd, echo, &served);
  EQUAL(errno, 55);
  return (void*)(intptr_t)error;
}
static void* serve_pinned(void* fd) {
  pin_me();
  return serve(fd);
}

static void use(int fd, int clients) {
  int client[16];
  char byte = 0;
  atomic_store(&served, 0);
  for (int i = 0; i < clients; i++) client[i] = connect_to(fd);
  for (int i = 0; i < clients; i++) MUST(write(client[i], "ab", 2) == 2);
  for (int i = 0; i < clients; i++) {
    MUST(read(client[i], &byte, 1) == 1);
    EQUAL(byte, 'a');
    close(client[i]);
  }
  while (atomic_load(&served) < clients) co_yield ();
}

static void servers(void) {
  int fd = listener(SOCK_STREAM);
  for (int kind = 0; kind < 3; kind++) {
    pthread_t thread;
    void* result;
    co_t server = 0;
    if (kind == 2) MUST(pthread_create(&thread, NULL, serve, &fd) == 0);
    if (kind < 2) server = begin(kind ? serve_pinned : serve, &fd);
    use(fd, 16);
    MUST(shutdown(fd, SHUT_RD) == 0);
    if (kind == 2) {
      MUST(pthread_join(thread, &result) == 0);
      EQUAL((intptr_t)result, EINVAL);
    } else {
      EQUAL((intptr_t)end(server), EINVAL);
    }
    MUST(listen(fd, 64) == 0);
  }
  // Non-blocking by the program's wish, and with a limit of its own.
  MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  co_t server = begin(serve, &fd);
  use(fd, 4);
  EQUAL(co_cancel(server), 0);
  EQUAL((intptr_t)end(server), ECANCELED);
  close(fd);

  fd = listener(SOCK_STREAM);
  struct timeval limit = {0, 1000};
  MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  server = begin(serve, &fd);
  use(fd, 4);
  settle();
  use(fd, 4);
  EQUAL(co_cancel(server), 0);
  EQUAL((intptr_t)end(server), ECANCELED);
  EQUAL(co_listen_and_serve(-1, echo, &served), EBADF);
  int datagrams = listener(SOCK_DGRAM);
  EQUAL(co_listen_and_serve(datagrams, echo, &served), EOPNOTSUPP);
  close(datagrams);
  datagrams = socket(AF_INET, SOCK_STREAM, 0);
  EQUAL(co_listen_and_serve(datagrams, echo, &served), EINVAL);
  close(datagrams);
  close(fd);
}

static int serve_limited(void* fd) { return co_listen_and_serve(*(int*)fd, echo, &served); }
static void server_ends(void) {
  int fd = listener(SOCK_STREAM);
  for (int early = 0; early < 2; early++) {
    co_t server = begin(serve, &fd);
    if (!early) settle();
    EQUAL(co_cancel(server), 0);
    EQUAL((intptr_t)end(server), ECANCELED);
  }
  EQUAL(co_with_deadline(kMillisecond, serve_limited, &fd), ETIMEDOUT);
  close(fd);
}

int main(void) {
  anywhere(offloads);
  anywhere(same_coroutine);
  anywhere(bounded);
  anywhere(servers);
  in_coroutine(server_ends);
  return finish();
}
