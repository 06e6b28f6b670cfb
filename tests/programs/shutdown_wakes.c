// SPDX-License-Identifier: Apache-2.0
// shutdown() and the peer's close end the waits of other threads: readers, writers, acceptors, and those who come
// later.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>

static sem_t about_to_wait;

struct waiter {
  int fd;
  long result;
  int error;
};

static void* reader(void* argument) {
  struct waiter* waiter = argument;
  char buffer[16];
  sem_post(&about_to_wait);
  errno = 0;
  waiter->result = recv(waiter->fd, buffer, sizeof buffer, 0);
  waiter->error = errno;
  return NULL;
}

static void* writer(void* argument) {
  struct waiter* waiter = argument;
  static char block[8 << 20];
  sem_post(&about_to_wait);
  errno = 0;
  ssize_t sent = send(waiter->fd, block, sizeof block, MSG_NOSIGNAL);
  // How much fitted before the end is the kernel's affair.
  waiter->result = sent > 0 && sent < (ssize_t)sizeof block ? 1 : sent;
  waiter->error = sent > 0 ? 0 : errno;
  return NULL;
}

static void* acceptor(void* argument) {
  struct waiter* waiter = argument;
  sem_post(&about_to_wait);
  errno = 0;
  waiter->result = accept(waiter->fd, NULL, NULL);
  waiter->error = errno;
  return NULL;
}

static void* poller(void* argument) {
  struct waiter* waiter = argument;
  struct pollfd entry = {waiter->fd, POLLIN, 0};
  sem_post(&about_to_wait);
  CHECK(poll(&entry, 1, -1) == 1);
  waiter->result = entry.revents;
  waiter->error = 0;
  return NULL;
}

static void report(const char* what, const struct waiter* waiter) {
  say("%s: %ld %s", what, waiter->result, name_of_errno(waiter->error));
}

static pthread_t waiting(thread_start start, struct waiter* waiter) {
  pthread_t thread = start_thread(start, waiter);
  sem_wait(&about_to_wait);
  settle();
  return thread;
}

int main(void) {
  int pair[2];
  signal(SIGPIPE, SIG_IGN);
  sem_init(&about_to_wait, 0, 0);

  for (int tcp = 0; tcp < 2; tcp++) {
    say("-- %s", tcp ? "tcp" : "socketpair");
    struct waiter waiter = {-1, -1, 0}, second = {-1, -1, 0};
    if (tcp)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    waiter.fd = second.fd = pair[0];
    pthread_t threads[2] = {waiting(reader, &waiter), waiting(reader, &second)};
    SHOW(shutdown(pair[0], SHUT_RD));
    join_thread(threads[0]);
    join_thread(threads[1]);
    report("reader, own shutdown", &waiter);
    report("second reader", &second);
    SHOW(recv(pair[0], &pair, 0, MSG_DONTWAIT));
    close(pair[0]);
    close(pair[1]);

    if (tcp)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    waiter.fd = pair[0];
    threads[0] = waiting(reader, &waiter);
    SHOW(shutdown(pair[1], SHUT_WR));
    join_thread(threads[0]);
    report("reader, peer's shutdown", &waiter);
    threads[0] = waiting(poller, &waiter);
    join_thread(threads[0]);
    report("poll after it", &waiter);
    close(pair[0]);
    close(pair[1]);

    if (tcp)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    waiter.fd = pair[0];
    threads[0] = waiting(writer, &waiter);
    SHOW(shutdown(pair[0], SHUT_WR));
    join_thread(threads[0]);
    report("writer, own shutdown", &waiter);
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    SHOW(write(pair[0], "x", 1));
    close(pair[0]);
    close(pair[1]);

    if (tcp)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    waiter.fd = pair[0];
    threads[0] = waiting(reader, &waiter);
    close(pair[1]);
    join_thread(threads[0]);
    report("reader, peer's close", &waiter);
    close(pair[0]);
  }

  say("-- reset");
  struct waiter reset = {-1, -1, 0};
  tcp_pair(pair);
  reset.fd = pair[0];
  pthread_t reset_thread = waiting(reader, &reset);
  struct linger at_once = {1, 0};
  MUST(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  close(pair[1]);
  join_thread(reset_thread);
  report("reader, connection reset", &reset);
  SHOW(recv(pair[0], &pair, 1, 0));
  close(pair[0]);

  say("-- listening");
  struct waiter waiter = {tcp_listener(4), -1, 0}, second = {waiter.fd, -1, 0};
  pthread_t threads[2] = {waiting(acceptor, &waiter), waiting(acceptor, &second)};
  SHOW(shutdown(waiter.fd, SHUT_RDWR));
  join_thread(threads[0]);
  join_thread(threads[1]);
  report("acceptor", &waiter);
  report("second acceptor", &second);
  close(waiter.fd);
  return finish();
}
