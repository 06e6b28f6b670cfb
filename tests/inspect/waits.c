// SPDX-License-Identifier: Apache-2.0
// One thread for each thing that can be waited for, named after it. Writes "ready" once all have been started, and ends with its stdin.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t condition_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t semaphore, taken;
static int client, accepted, pipes[2];
static pthread_t holder;

static void* hold(void* argument) {
  pthread_mutex_lock(&mutex);
  pthread_rwlock_wrlock(&rwlock);
  sem_post(&taken);
  for (;;) sleep(100000);
  return 0;
}
static void* read_socket(void* argument) {
  char byte;
  (void)!read(accepted, &byte, 1);
  return 0;
}
static void* poll_two(void* argument) {
  struct pollfd list[2] = {{.fd = pipes[0], .events = POLLIN}, {.fd = client, .events = POLLIN}};
  poll(list, 2, -1);
  return 0;
}
static void* lock_mutex(void* argument) {
  pthread_mutex_lock(&mutex);
  return 0;
}
static void* read_rwlock(void* argument) {
  pthread_rwlock_rdlock(&rwlock);
  return 0;
}
static void* write_rwlock(void* argument) {
  pthread_rwlock_wrlock(&rwlock);
  return 0;
}
static void* join(void* argument) {
  pthread_join(holder, 0);
  return 0;
}
static void* wait_semaphore(void* argument) {
  sem_wait(&semaphore);
  return 0;
}
static void* wait_condition(void* argument) {
  pthread_mutex_lock(&condition_mutex);
  for (;;) pthread_cond_wait(&condition, &condition_mutex);
  return 0;
}
static void* wait_child(void* argument) {
  waitpid(*(pid_t*)argument, 0, 0);
  return 0;
}

static pthread_t start(void* (*function)(void*), void* argument, const char* name) {
  pthread_t thread;
  if (pthread_create(&thread, 0, function, argument) != 0) _exit(2);
  pthread_setname_np(thread, name);
  return thread;
}

int main(void) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr*)&address, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &size) != 0 || pipe(pipes) != 0)
    return 1;
  client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client, (struct sockaddr*)&address, size) != 0) return 1;
  accepted = accept(listener, 0, 0);
  sem_init(&semaphore, 0, 0);
  sem_init(&taken, 0, 0);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    _exit(0);
  }
  holder = start(hold, 0, "sleep");
  sem_wait(&taken);
  start(read_socket, 0, "read");
  start(poll_two, 0, "poll");
  start(lock_mutex, 0, "mutex");
  start(read_rwlock, 0, "rwlock read");
  start(write_rwlock, 0, "rwlock write");
  start(join, 0, "join");
  start(wait_semaphore, 0, "semaphore");
  start(wait_condition, 0, "condition");
  start(wait_child, &child, "region");
  puts("ready");
  fflush(stdout);
  waitpid(child, 0, 0);
  _exit(0);
}
