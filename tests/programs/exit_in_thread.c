// SPDX-License-Identifier: Apache-2.0
// exit() in a thread, or another way out that the argument names, while other threads wait in all kinds of calls.
#include "check.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, exit_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t never, waiting;
static int pair[2];
static const char* way;

static void first(void) { say("first registered"); }
static void second(void) {
  struct timespec nap = {0, 1000000};
  pthread_mutex_lock(&exit_mutex);
  nanosleep(&nap, NULL);
  say("second registered, with a lock and a sleep");
  pthread_mutex_unlock(&exit_mutex);
}
static void quick(void) { say("for quick_exit"); }

__attribute__((destructor)) static void destructor(void) { say("destructor"); }

static void* waiter(void* argument) {
  char byte;
  struct pollfd entry = {pair[1], POLLIN, 0};
  struct timespec long_time = {1000, 0};
  sem_post(&waiting);
  switch (as_long(argument)) {
    case 0:
      CHECK(read(pair[0], &byte, 1) == 77);
      break;
    case 1:
      sem_wait(&never);
      break;
    case 2:
      pthread_mutex_lock(&mutex);
      for (;;) pthread_cond_wait(&cond, &mutex);
    case 3:
      poll(&entry, 1, -1);
      break;
    case 4:
      nanosleep(&long_time, NULL);
      break;
    default:
      for (;;) sched_yield();
  }
  return NULL;
}

static void* leaver(void* unused) {
  printf("in the buffer of stdout\n");
  if (strcmp(way, "exit") == 0) exit(7);
  if (strcmp(way, "_exit") == 0) _exit(8);
  if (strcmp(way, "_Exit") == 0) _Exit(9);
  if (strcmp(way, "quick") == 0) quick_exit(10);
  if (strcmp(way, "group") == 0) syscall(SYS_exit_group, 11);
  if (strcmp(way, "abort") == 0) abort();
  if (strcmp(way, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(way, "segv") == 0) raise(SIGSEGV);
  return unused;
}

int main(int argc, char** argv) {
  way = argc > 1 ? argv[1] : "exit";
  sem_init(&never, 0, 0);
  sem_init(&waiting, 0, 0);
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  atexit(first);
  atexit(second);
  at_quick_exit(quick);
  for (int i = 0; i < 6; i++) start_thread(waiter, as_pointer(i));
  for (int i = 0; i < 6; i++) sem_wait(&waiting);
  if (strcmp(way, "main") == 0) {
    leaver(NULL);
    return 6;
  }
  if (strcmp(way, "main_exit") == 0) {
    way = "exit";
    leaver(NULL);
  }
  pthread_t thread = start_thread(leaver, NULL);
  pthread_join(thread, NULL);
  say("not reached");
  return 0;
}
