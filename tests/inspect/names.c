// SPDX-License-Identifier: Apache-2.0
// Threads whose names and descriptors have control characters in them: one that colours, one of Latin-1 in UTF-8, and a name that is only
// not ASCII. Says "ready" and ends with its input.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends[2];
static sem_t arrived;

static void* waits(void* name) {
  char byte;
  pthread_setname_np(pthread_self(), name);
  sem_post(&arrived);
  struct pollfd polled = {.fd = ends[0], .events = POLLIN};
  while (poll(&polled, 1, -1) == 0) continue;
  (void)!read(ends[0], &byte, 1);
  return NULL;
}

int main(void) {
  static char* const names[] = {"a\33[31mred", "b\302\233c\177", "ol\303\251"};
  static const char path[] = "pipe\33]0;title\7";
  pthread_t thread;
  char byte;
  if (mkfifo(path, 0600) != 0 || (ends[0] = open(path, O_RDWR)) < 0 || sem_init(&arrived, 0, 0) != 0) return 1;
  for (int i = 0; i < 3; i++)
    if (pthread_create(&thread, NULL, waits, names[i]) != 0) return 1;
  for (int i = 0; i < 3; i++)
    while (sem_wait(&arrived) != 0) continue;
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
