// SPDX-License-Identifier: Apache-2.0
// SO_RCVLOWAT: a blocking read waits for as many bytes as the program asked the kernel for, also where it was set late.
#include "socket_pairs.h"

#include <semaphore.h>

static sem_t reading;

struct reader {
  int fd;
  ssize_t got;
  char buffer[64];
};

static void* read_once(void* argument) {
  struct reader* reader = argument;
  sem_post(&reading);
  reader->got = read(reader->fd, reader->buffer, sizeof reader->buffer);
  return NULL;
}

static void with_mark(int (*pair)[2], int mark, const char* first, const char* second) {
  struct reader reader = {(*pair)[0], -1, {0}};
  MUST(setsockopt(reader.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark) == 0);
  pthread_t thread = start_thread(read_once, &reader);
  sem_wait(&reading);
  MUST(send((*pair)[1], first, strlen(first), 0) == (ssize_t)strlen(first));
  settle();
  if (second != NULL) MUST(send((*pair)[1], second, strlen(second), 0) == (ssize_t)strlen(second));
  join_thread(thread);
  say("mark %d: %zd bytes \"%.20s\"", mark, reader.got, reader.buffer);
}

int main(void) {
  int pair[2];
  sem_init(&reading, 0, 0);
  tcp_pair(pair);
  // Each piece that comes while somebody waits is measured alone if the earlier one has been read already, so the
  // second piece is as long as the mark.
  with_mark(&pair, 8, "1234", "56789abc");
  with_mark(&pair, 1, "now", NULL);
  with_mark(&pair, 5, "54321", NULL);
  close(pair[0]);
  close(pair[1]);
  return finish();
}
