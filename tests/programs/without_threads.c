// SPDX-License-Identifier: Apache-2.0
// A program without threads is left alone: no thread, no descriptor, and calls that fail as soon as there is a second
// thread.
#include "socket_pairs.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static int entries_of(const char* path) {
  int count = 0;
  DIR* directory = opendir(path);
  MUST(directory != NULL);
  while (readdir(directory) != NULL) count++;
  closedir(directory);
  return count;
}

static volatile sig_atomic_t alarms;
static void on_alarm(int number) { alarms += number == SIGALRM; }

int main(void) {
  say("tasks %d, descriptors %d", entries_of("/proc/self/task") - 2, entries_of("/proc/self/fd") - 3);
  int pair[2], ends[2];
  char byte = 0;
  unix_pair(SOCK_STREAM, pair);
  tcp_pair(ends);
  MUST(write(pair[0], "a", 1) == 1 && read(pair[1], &byte, 1) == 1);
  MUST(write(ends[0], "b", 1) == 1 && read(ends[1], &byte, 1) == 1);
  struct pollfd entry = {pair[0], POLLIN, 0};
  SHOW(poll(&entry, 1, 5));
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  SHOW_ERROR(pthread_mutex_lock(&mutex));
  SHOW_ERROR(pthread_mutex_unlock(&mutex));
  sem_t semaphore;
  sem_init(&semaphore, 0, 1);
  SHOW(sem_wait(&semaphore));
  signal(SIGALRM, on_alarm);
  alarm(1);
  SHOW(pause());
  say("alarms %d", (int)alarms);
  pid_t pid = fork();
  if (pid == 0) _exit(entries_of("/proc/self/task") - 2);
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("tasks of a child %d", WEXITSTATUS(status));
  say("system %d", WEXITSTATUS(system("exit 4")));
  struct timespec nap = {0, 1000000};
  SHOW(nanosleep(&nap, NULL));
  close(pair[0]);
  close(pair[1]);
  close(ends[0]);
  close(ends[1]);
  say("tasks %d, descriptors %d", entries_of("/proc/self/task") - 2, entries_of("/proc/self/fd") - 3);
  SHOW(unshare(CLONE_NEWUSER));
  return finish();
}
