// SPDX-License-Identifier: Apache-2.0
// fork in a thread while others hold locks, wait and sleep: the child uses every kind of call, threads too, and forks
// again.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/wait.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
static sem_t never, waiting;
static int idle[2];
static __thread int thread_local_value = 5;
static int prepared, in_parent, in_child;

static void prepare(void) { prepared++; }
static void parent(void) { in_parent++; }
static void child_handler(void) { in_child++; }

static void* waits(void* argument) {
  char byte;
  struct timespec length = {1000, 0};
  sem_post(&waiting);
  switch (as_long(argument)) {
    case 0:
      CHECK(read(idle[0], &byte, 1) == 0);
      break;
    case 1:
      sem_wait(&never);
      break;
    case 2:
      pthread_mutex_lock(&held);
      pthread_mutex_unlock(&held);
      break;
    default:
      nanosleep(&length, NULL);
  }
  return NULL;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  CHECK(thread_local_value == 5);
  while (read(fd, &byte, 1) == 1) MUST(write(fd, &byte, 1) == 1);
  return as_pointer(++thread_local_value);
}

static void child(int depth) {
  struct timespec nap = {0, 2000000};
  char byte = 0;
  int ends[2], pair[2];
  CHECK(nanosleep(&nap, NULL) == 0);
  CHECK(usleep(1000) == 0);
  CHECK(poll(NULL, 0, 2) == 0);
  MUST(pipe(ends) == 0);
  MUST(write(ends[1], "p", 1) == 1 && read(ends[0], &byte, 1) == 1);
  CHECK(thread_local_value == 77);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  // Threads of the child's own, which wait.
  pthread_t threads[10];
  int fds[10];
  for (int i = 0; i < 10; i++) {
    unix_pair(SOCK_STREAM, pair);
    fds[i] = pair[0];
    threads[i] = start_thread(echo, as_pointer(pair[1]));
  }
  settle();
  for (int i = 0; i < 10; i++) MUST(write(fds[i], "e", 1) == 1 && read(fds[i], &byte, 1) == 1 && byte == 'e');
  for (int i = 0; i < 10; i++) {
    close(fds[i]);
    CHECK(as_long(join_thread(threads[i])) == 6);
  }
  MUST(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (depth > 0) child(depth - 1);
    nanosleep(&nap, NULL);
    _exit(write(ends[1], "g", 1) == 1 ? 30 + depth : 99);
  }
  MUST(read(ends[0], &byte, 1) == 1);
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("depth %d: grandchild's status %d, failures %d", depth, WEXITSTATUS(status), check_failures);
  close(ends[0]);
  close(ends[1]);
}

static void* forks(void* unused) {
  thread_local_value = 77;
  for (int round = 0; round < 3; round++) {
    pthread_mutex_lock(&mutex);
    pid_t pid = fork();
    pthread_mutex_unlock(&mutex);
    if (pid == 0) {
      child(1);
      _exit(check_failures == 0 ? 20 + round : 98);
    }
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid);
    say("child's status %d", WEXITSTATUS(status));
  }
  pid_t pid = _Fork();
  if (pid == 0) _exit(11);
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("_Fork: %d", WEXITSTATUS(status));
  return unused;
}

int main(void) {
  pthread_t threads[4];
  sem_init(&never, 0, 0);
  sem_init(&waiting, 0, 0);
  pthread_atfork(prepare, parent, child_handler);
  MUST(pipe(idle) == 0);
  pthread_mutex_lock(&held);
  for (int i = 0; i < 4; i++) threads[i] = start_thread(waits, as_pointer(i));
  for (int i = 0; i < 4; i++) sem_wait(&waiting);
  settle();
  say("-- from a thread");
  in_thread(forks, NULL);
  say("-- from main");
  forks(NULL);
  say("handlers: %d %d %d", prepared, in_parent, in_child);
  // The waiters are as they were.
  close(idle[1]);
  sem_post(&never);
  pthread_mutex_unlock(&held);
  for (int i = 0; i < 3; i++) join_thread(threads[i]);
  return finish();
}
