// SPDX-License-Identifier: Apache-2.0
// poll() and ppoll() to the letter: results, waits, times, odd entries, numbers past 1024, signal masks.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>

static void show_entries(const char* what, const struct pollfd* entries, int count) {
  char text[200] = "";
  for (int i = 0; i < count; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), " %#x", (unsigned)entries[i].revents);
  say("%s:%s", what, text);
}

static void at_once(void) {
  int ends[2], idle[2];
  MUST(pipe(ends) == 0 && pipe(idle) == 0);
  struct pollfd entries[6] = {{ends[0], POLLIN, 0},           {-1, POLLIN, 7},
                              {ends[1], POLLOUT, 0},          {999, POLLIN, 0},
                              {ends[0], POLLIN | POLLOUT, 0}, {idle[0], POLLIN, 0}};
  SHOW(poll(entries, 6, 0));
  show_entries("nothing to read", entries, 6);
  MUST(write(ends[1], "x", 1) == 1);
  SHOW(poll(entries, 6, 1000));
  show_entries("a byte, seen by two entries", entries, 6);
  SHOW(poll(&entries[5], 1, 0));
  SHOW(poll(&entries[1], 1, 0));
  close(ends[1]);
  SHOW(poll(entries, 1, -1));
  show_entries("data and hang-up", entries, 1);
  char byte;
  SHOW(read(ends[0], &byte, 1));
  entries[0].events = 0;
  SHOW(poll(entries, 1, -1));
  show_entries("hang-up unasked", entries, 1);
  close(ends[0]);
  MUST(pipe(ends) == 0);
  close(ends[0]);
  entries[2].fd = ends[1];
  SHOW(poll(&entries[2], 1, -1));
  show_entries("broken pipe", &entries[2], 1);
  close(ends[1]);

  int file = open("file", O_RDWR | O_CREAT, 0600), null = open("/dev/null", O_RDWR);
  struct pollfd files[2] = {{file, POLLIN | POLLOUT, 0}, {null, POLLIN | POLLOUT, 0}};
  SHOW(poll(files, 2, -1));
  show_entries("regular file and /dev/null", files, 2);
  close(file);
  close(null);

  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct pollfd fresh = {fd, POLLIN | POLLOUT, 0};
  SHOW(poll(&fresh, 1, 0));
  show_entries("fresh socket", &fresh, 1);
  close(fd);
  struct pollfd* volatile nowhere = NULL;
  SHOW(poll(nowhere, 0, 0));
  SHOW(poll(nowhere, 1, 0));
  struct timespec bad = {0, 1000000000L};
  SHOW(ppoll(NULL, 0, &bad, NULL));
  close(idle[0]);
  close(idle[1]);
}

static void times(void) {
  int idle[2];
  MUST(pipe(idle) == 0);
  struct pollfd entry = {idle[0], POLLIN, 0x55};
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(poll(&entry, 1, 60));
  CHECK(ms_since(start) >= 60 && entry.revents == 0);
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(poll(NULL, 0, 50));
  CHECK(ms_since(start) >= 50);
  start = now_ns(CLOCK_MONOTONIC);
  struct timespec short_time = {0, 300000};
  SHOW(ppoll(&entry, 1, &short_time, NULL));
  CHECK(now_ns(CLOCK_MONOTONIC) - start >= 300000);
  CHECK(short_time.tv_nsec == 300000);
  struct timespec none = {0, 0};
  SHOW(ppoll(&entry, 1, &none, NULL));
  struct pollfd negative = {-5, POLLIN, 0x55};
  start = now_ns(CLOCK_MONOTONIC);
  SHOW(poll(&negative, 1, 30));
  CHECK(ms_since(start) >= 30 && negative.revents == 0);
  close(idle[0]);
  close(idle[1]);
}

static sem_t about_to_wait;

struct waiter {
  struct pollfd entries[4];
  int count;
  int result;
};

static void* poller(void* argument) {
  struct waiter* waiter = argument;
  sem_post(&about_to_wait);
  waiter->result = poll(waiter->entries, (nfds_t)waiter->count, -1);
  return NULL;
}

static void waits(void) {
  int a[2], b[2], pair[2];
  MUST(pipe(a) == 0 && pipe(b) == 0);
  unix_pair(SOCK_STREAM, pair);
  struct waiter waiter = {
      {{a[0], POLLIN, 0}, {b[0], POLLIN, 0}, {a[0], POLLIN, 0}, {pair[0], POLLIN | POLLRDHUP, 0}}, 4, -1};
  struct waiter same = waiter;
  pthread_t threads[2] = {start_thread(poller, &waiter), start_thread(poller, &same)};
  sem_wait(&about_to_wait);
  sem_wait(&about_to_wait);
  settle();
  // Both see the byte, since neither takes it.
  MUST(write(a[1], "x", 1) == 1);
  for (int i = 0; i < 2; i++) join_thread(threads[i]);
  say("woken by a pipe: %d %d", waiter.result, same.result);
  show_entries("first", waiter.entries, 4);
  show_entries("second", same.entries, 4);
  char byte;
  MUST(read(a[0], &byte, 1) == 1);

  threads[0] = start_thread(poller, &waiter);
  sem_wait(&about_to_wait);
  settle();
  MUST(shutdown(pair[1], SHUT_WR) == 0);
  join_thread(threads[0]);
  say("woken by the peer's end: %d", waiter.result);
  show_entries("entries", waiter.entries, 4);

  // Waiting for room.
  int full[2];
  static char block[1 << 16];
  MUST(pipe2(full, O_NONBLOCK) == 0);
  while (write(full[1], block, sizeof block) > 0) {
  }
  struct waiter writable = {{{full[1], POLLOUT, 0}}, 1, -1};
  threads[0] = start_thread(poller, &writable);
  sem_wait(&about_to_wait);
  settle();
  MUST(read(full[0], block, sizeof block) > 0);
  join_thread(threads[0]);
  say("woken by room: %d %#x", writable.result, (unsigned)writable.entries[0].revents);

  // A non-blocking listener and poll: how most servers wait.
  int listener = tcp_listener(4);
  MUST(fcntl(listener, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
  SHOW(accept(listener, NULL, NULL));
  struct waiter accepting = {{{listener, POLLIN, 0}}, 1, -1};
  threads[0] = start_thread(poller, &accepting);
  sem_wait(&about_to_wait);
  settle();
  int client = tcp_client(listener);
  join_thread(threads[0]);
  say("woken by a connection: %d %#x", accepting.result, (unsigned)accepting.entries[0].revents);
  int served = accept(listener, NULL, NULL);
  CHECK(served >= 0);
  close(served);
  close(client);
  close(listener);
}

static void high_numbers(void) {
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int ends[2];
  MUST(pipe(ends) == 0);
  if (limit.rlim_cur < 2100) {
    limit.rlim_cur = 2100;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  MUST(dup2(ends[0], 2000) == 2000);
  struct waiter waiter = {{{2000, POLLIN, 0}}, 1, -1};
  pthread_t thread = start_thread(poller, &waiter);
  sem_wait(&about_to_wait);
  settle();
  MUST(write(ends[1], "h", 1) == 1);
  join_thread(thread);
  say("descriptor 2000: %d %#x", waiter.result, (unsigned)waiter.entries[0].revents);
  close(2000);
}

static void* all(void* unused) {
  at_once();
  times();
  waits();
  high_numbers();
  return unused;
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  sem_init(&about_to_wait, 0, 0);
  in_thread(all, NULL);
  say("-- from main");
  all(NULL);
  return finish();
}
