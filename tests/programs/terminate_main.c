// SPDX-License-Identifier: Apache-2.0
// A server's end: main waits in the call that the argument names, threads serve, SIGTERM comes, main closes down in
// order.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>

static volatile sig_atomic_t asked_to_stop;
static int wake_pipe[2];

static void handler(int number) {
  int saved = errno;
  asked_to_stop = number;
  if (write(wake_pipe[1], "s", 1) != 1) _exit(9);
  errno = saved;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  long count = 0;
  while (read(fd, &byte, 1) == 1) {
    MUST(write(fd, &byte, 1) == 1);
    count++;
  }
  close(fd);
  return as_pointer(count);
}

static void* sends_signal(void* argument) {
  const int* fds = argument;
  char byte;
  for (int i = 0; i < 10; i++) MUST(write(fds[i], "q", 1) == 1 && read(fds[i], &byte, 1) == 1);
  settle();
  MUST(kill(getpid(), SIGTERM) == 0);
  return NULL;
}

int main(int argc, char** argv) {
  const char* way = argc > 1 ? argv[1] : "accept";
  pthread_t servers[10];
  int fds[10];
  MUST(pipe(wake_pipe) == 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  MUST(sigaction(SIGTERM, &action, NULL) == 0);
  for (int i = 0; i < 10; i++) {
    int pair[2];
    tcp_pair(pair);
    fds[i] = pair[0];
    servers[i] = start_thread(echo, as_pointer(pair[1]));
  }
  int listener = tcp_listener(1);
  pthread_t sender = start_thread(sends_signal, fds);
  if (strcmp(way, "accept") == 0) {
    // A signal that comes just before accept would be waited for in vain: the pipe tells of it.
    struct pollfd entries[2] = {{listener, POLLIN, 0}, {wake_pipe[0], POLLIN, 0}};
    while (!asked_to_stop) {
      errno = 0;
      int ready = poll(entries, 2, -1);
      CHECK(ready > 0 || errno == EINTR);
    }
  } else if (strcmp(way, "join") == 0) {
    // Joining goes on through the signal, as long as the joined thread does.
    join_thread(sender);
    sender = 0;
  } else {
    char byte;
    while (read(wake_pipe[0], &byte, 1) == -1 && errno == EINTR) {
    }
  }
  say("stopped by %s", sigabbrev_np(asked_to_stop));
  if (sender != 0) join_thread(sender);
  long total = 0;
  for (int i = 0; i < 10; i++) {
    close(fds[i]);
    total += as_long(join_thread(servers[i]));
  }
  say("served %ld", total);
  return finish();
}
