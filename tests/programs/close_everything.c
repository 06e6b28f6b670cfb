// SPDX-License-Identifier: Apache-2.0
// A daemon's "close everything" before and after threads exist, in the way the argument names; threads and waits go on.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>

static const char* way;
static sem_t about_to_wait;

static void close_from_three(int keep) {
  if (strcmp(way, "loop") == 0) {
    for (int fd = 3; fd < 1024; fd++)
      if (fd != keep) close(fd);
  } else if (strcmp(way, "loop_all") == 0) {
    for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd >= 3; fd--)
      if (fd != keep) close(fd);
  } else if (strcmp(way, "range") == 0) {
    if (keep > 3) CHECK(close_range(3, (unsigned)keep - 1, 0) == 0);
    CHECK(close_range(keep < 3 ? 3 : (unsigned)keep + 1, ~0u, 0) == 0);
  } else if (strcmp(way, "from") == 0) {
    CHECK(keep < 4);
    closefrom(keep < 3 ? 3 : keep + 1);
  } else {
    // Takes every number away from whoever had it, and gives it back.
    int null = open("/dev/null", O_RDWR);
    for (int fd = 3; fd < 1024; fd++)
      if (fd != keep && fd != null) dup2(null, fd);
    for (int fd = 3; fd < 1024; fd++)
      if (fd != keep) close(fd);
  }
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[16];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) MUST(write(fd, buffer, (size_t)got) == got);
  close(fd);
  return NULL;
}

static void use_threads(const char* when) {
  int pairs[10][2];
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) {
    if (i % 2 == 0)
      tcp_pair(pairs[i]);
    else
      unix_pair(SOCK_STREAM, pairs[i]);
    threads[i] = start_thread(echo, as_pointer(pairs[i][1]));
  }
  settle();
  int right = 0;
  for (int i = 0; i < 10; i++) {
    char byte = 0;
    MUST(write(pairs[i][0], "e", 1) == 1);
    right += read(pairs[i][0], &byte, 1) == 1 && byte == 'e';
    close(pairs[i][0]);
  }
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("%s: %d echoes, lowest free number %d", when, right, dup(STDOUT_FILENO));
  close(3);
}

static void* wait_on(void* argument) {
  char byte = 0;
  sem_post(&about_to_wait);
  return as_pointer(read((int)as_long(argument), &byte, 1) == 1 ? byte : -1);
}

static void* close_in_thread(void* argument) {
  close_from_three((int)as_long(argument));
  return NULL;
}

int main(int argc, char** argv) {
  way = argc > 1 ? argv[1] : "loop";
  sem_init(&about_to_wait, 0, 0);
  close_from_three(-1);
  use_threads("closed before any thread");
  close_from_three(-1);
  use_threads("closed by main after threads");
  in_thread(close_in_thread, as_pointer(-1));
  use_threads("closed by a thread");

  // One thread waits on a number that is kept while everything else goes.
  int pair[2];
  unix_pair(SOCK_STREAM, pair);
  MUST(pair[0] == 3);
  pthread_t waiter = start_thread(wait_on, as_pointer(pair[0]));
  sem_wait(&about_to_wait);
  settle();
  int other = dup(pair[1]);
  MUST(dup2(other, 2) == 2);
  in_thread(close_in_thread, as_pointer(3));
  MUST(write(2, "k", 1) == 1);
  say("the one that was kept: %c", (int)as_long(join_thread(waiter)));
  close(3);
  use_threads("at last");
  return finish();
}
