// SPDX-License-Identifier: Apache-2.0
// Signal handlers of the process: timers and alarms that fall into main or threads at any moment, and that call what
// waits.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks, bytes_written;
static int handler_pipe[2];
static sem_t ticked;

static void on_tick(int number) {
  int saved = errno;
  (void)number;
  if (ticks < 50) {
    ticks++;
    sem_post(&ticked);
    if (write(handler_pipe[1], "t", 1) == 1) bytes_written++;
  }
  struct pollfd entry = {handler_pipe[0], POLLIN, 0};
  poll(&entry, 1, 0);
  errno = saved;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  for (;;) {
    ssize_t got = read(fd, &byte, 1);
    if (got == -1 && errno == EINTR) continue;
    if (got <= 0) break;
    while (write(fd, &byte, 1) == -1 && errno == EINTR) {
    }
  }
  close(fd);
  return NULL;
}

static volatile int stop;
static void* computes(void* unused) {
  long sum = 0;
  while (!stop) {
    char* block = malloc((size_t)(100 + sum % 1000));
    memset(block, 1, 100);
    sum += block[50];
    free(block);
  }
  (void)unused;
  return as_pointer(sum > 0);
}

int main(void) {
  pthread_t threads[20], computing = start_thread(computes, NULL);
  int fds[20];
  sem_init(&ticked, 0, 0);
  MUST(pipe(handler_pipe) == 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART;
  MUST(sigaction(SIGALRM, &action, NULL) == 0);
  for (int i = 0; i < 20; i++) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    fds[i] = pair[0];
    threads[i] = start_thread(echo, as_pointer(pair[1]));
  }
  struct itimerval interval = {{0, 2000}, {0, 2000}};
  MUST(setitimer(ITIMER_REAL, &interval, NULL) == 0);
  long echoes = 0;
  while (ticks < 50) {
    for (int i = 0; i < 20; i++) {
      char byte = 0;
      while (write(fds[i], "h", 1) != 1) {
      }
      while (read(fds[i], &byte, 1) != 1) {
      }
      echoes++;
    }
  }
  memset(&interval, 0, sizeof interval);
  MUST(setitimer(ITIMER_REAL, &interval, NULL) == 0);
  CHECK(echoes > 0);
  for (int i = 0; i < 50; i++)
    while (sem_wait(&ticked) == -1 && errno == EINTR) {
    }
  char buffer[64];
  say("ticks %d, written %d, read %zd", (int)ticks, (int)bytes_written, read(handler_pipe[0], buffer, sizeof buffer));
  stop = 1;
  say("computed %ld", as_long(join_thread(computing)));
  for (int i = 0; i < 20; i++) {
    close(fds[i]);
    join_thread(threads[i]);
  }
  return finish();
}
