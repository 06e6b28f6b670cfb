// SPDX-License-Identifier: Apache-2.0
// Sixteen threads accept on one socket while clients connect in bursts: each connection is served once, none is
// forgotten.
//
// Two connects that arrive together are one readiness event of the listening socket, so whoever accepts has to see to
// it that the next acceptor wakes.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>

enum { kAcceptors = 16, kBursts = 12 };

static int listener;
static sem_t served;

static void* acceptor(void* argument) {
  int use_accept4 = as_long(argument) % 2 == 0;
  long count = 0;
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int fd = use_accept4 ? accept4(listener, (struct sockaddr*)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC)
                         : accept(listener, (struct sockaddr*)&peer, &length);
    MUST(fd >= 0);
    CHECK(length == sizeof peer && peer.sin_family == AF_INET);
    CHECK(((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) == use_accept4);
    CHECK(((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) == use_accept4);
    // An accepted socket may be non-blocking; the clients write before they count a connection as made.
    char kind = 'q';
    ssize_t got;
    while ((got = recv(fd, &kind, 1, 0)) == -1 && errno == EAGAIN) sched_yield();
    MUST(got == 1);
    MUST(send(fd, &kind, 1, 0) == 1);
    close(fd);
    sem_post(&served);
    if (kind == 'q') return as_pointer(count);
    count++;
  }
}

static void burst(int size, char kind) {
  int fds[kAcceptors];
  for (int i = 0; i < size; i++) fds[i] = tcp_client(listener);
  for (int i = 0; i < size; i++) MUST(send(fds[i], &kind, 1, 0) == 1);
  for (int i = 0; i < size; i++) {
    char answer = 0;
    MUST(recv(fds[i], &answer, 1, 0) == 1);
    CHECK(answer == kind);
    close(fds[i]);
  }
  for (int i = 0; i < size; i++) sem_wait(&served);
}

int main(void) {
  pthread_t threads[kAcceptors];
  sem_init(&served, 0, 0);
  listener = tcp_listener(64);
  for (long i = 0; i < kAcceptors; i++) threads[i] = start_thread(acceptor, as_pointer(i));
  settle();
  int connections = 0;
  for (int i = 0; i < kBursts; i++) {
    int size = i < 4 ? 2 : 2 + i;
    burst(size, 'w');
    connections += size;
  }
  burst(kAcceptors, 'q');
  long served_by_threads = 0;
  for (int i = 0; i < kAcceptors; i++) served_by_threads += as_long(join_thread(threads[i]));
  say("%d connections, %ld served", connections, served_by_threads);
  CHECK(connections == served_by_threads);
  close(listener);
  return finish();
}
