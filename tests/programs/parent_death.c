// SPDX-License-Identifier: Apache-2.0
// Children that are to die with their parent, made by threads of which each then blocks in the kernel, again and again: as long as the
// threads go on, so do the children.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { kThreads = 16, kRounds = 5 };

static pthread_barrier_t all;
static sem_t closed;

static void path_of(long number, char path[32]) { snprintf(path, 32, "fifo.%ld", number); }

static void child(int ready, int end) {
  char byte = 'r';
  MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
  MUST(write(ready, &byte, 1) == 1);
  MUST(read(end, &byte, 1) == 1);
  _exit(byte);
}

static void* has_child(void* argument) {
  long number = as_long(argument);
  int ready[2], end[2], status = 0;
  char path[32], byte;
  MUST(pipe(ready) == 0 && pipe(end) == 0);
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) child(ready[1], end[0]);
  MUST(read(ready[0], &byte, 1) == 1);
  path_of(number, path);
  pthread_barrier_wait(&all);
  for (int round = 0; round < kRounds; round++) {
    int fd = open(path, O_RDONLY);
    MUST(fd >= 0);
    MUST(read(fd, &byte, 1) == 0);
    close(fd);
    sem_post(&closed);
  }
  pthread_barrier_wait(&all);
  byte = (char)(number + 1);
  ssize_t sent = write(end[1], &byte, 1);
  MUST(sent == 1);
  MUST(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == number + 1);
  for (int i = 0; i < 2; i++) {
    close(ready[i]);
    close(end[i]);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  char path[32];
  signal(SIGPIPE, SIG_IGN);
  MUST(sem_init(&closed, 0, 0) == 0);
  MUST(pthread_barrier_init(&all, NULL, kThreads + 1) == 0);
  for (long i = 0; i < kThreads; i++) {
    path_of(i, path);
    MUST(mkfifo(path, 0600) == 0);
    threads[i] = start_thread(has_child, as_pointer(i));
  }
  pthread_barrier_wait(&all);
  // The reader's open ends by this one, and its read by the close.
  for (int round = 0; round < kRounds; round++) {
    for (long i = 0; i < kThreads; i++) {
      path_of(i, path);
      int fd = open(path, O_WRONLY);
      MUST(fd >= 0);
      close(fd);
      sem_wait(&closed);
    }
  }
  pthread_barrier_wait(&all);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  return finish();
}
