// SPDX-License-Identifier: Apache-2.0
// A service of Type=notify: its threads talk to each other over sockets, one of them says that it is ready, and it ends when it is told to.
// Exit status 1: something that natively works did not.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { kPairs = 20, kRounds = 50 };

static void check(int good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}

// As sd_notify(3) does it.
static void notify(const char* text) {
  const char* path = getenv("NOTIFY_SOCKET");
  check(path != NULL && strlen(path) < sizeof((struct sockaddr_un){0}.sun_path), "NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  struct iovec part = {(void*)text, strlen(text)};
  struct msghdr message = {.msg_name = &address,
                           .msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)),
                           .msg_iov = &part,
                           .msg_iovlen = 1};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "socket");
  check(sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)part.iov_len, "sendmsg");
  close(fd);
}

static void* answer(void* end) {
  char byte;
  while (read((int)(intptr_t)end, &byte, 1) == 1) check(write((int)(intptr_t)end, &byte, 1) == 1, "write");
  close((int)(intptr_t)end);
  return NULL;
}

static void* ask(void* end) {
  for (int i = 0; i < kRounds; i++) {
    char byte = (char)i;
    check(write((int)(intptr_t)end, &byte, 1) == 1, "write");
    check(read((int)(intptr_t)end, &byte, 1) == 1 && byte == (char)i, "read");
  }
  close((int)(intptr_t)end);
  return NULL;
}

static void* begin(void* nothing) {
  pthread_t threads[2 * kPairs];
  for (int i = 0; i < kPairs; i++) {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    errno = pthread_create(&threads[2 * i], NULL, answer, (void*)(intptr_t)ends[0]);
    check(errno == 0, "pthread_create");
    errno = pthread_create(&threads[2 * i + 1], NULL, ask, (void*)(intptr_t)ends[1]);
    check(errno == 0, "pthread_create");
  }
  for (int i = 0; i < 2 * kPairs; i++) pthread_join(threads[i], NULL);
  notify("READY=1");
  return nothing;
}

int main(void) {
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &terminate, NULL);
  pthread_t thread;
  check((errno = pthread_create(&thread, NULL, begin, NULL)) == 0, "pthread_create");
  int received;
  sigwait(&terminate, &received);
  pthread_join(thread, NULL);
  notify("STOPPING=1");
  return 0;
}
