// SPDX-License-Identifier: Apache-2.0
// Several threads on one descriptor at once: a reader and a writer, two readers, two writers, urgent data.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/ioctl.h>

enum { kSize = 1 << 20 };

struct half {
  int fd;
  int seed;
};

static void* write_half(void* argument) {
  struct half* half = argument;
  char* data = malloc(kSize);
  for (int i = 0; i < kSize; i++) data[i] = (char)(i * half->seed >> 7);
  ssize_t sent = send(half->fd, data, kSize, 0);
  free(data);
  return as_pointer(sent);
}

static void* read_half(void* argument) {
  struct half* half = argument;
  char* data = malloc(kSize);
  ssize_t got = recv(half->fd, data, kSize, MSG_WAITALL);
  long wrong = 0;
  for (int i = 0; i < kSize; i++) wrong += data[i] != (char)(i * half->seed >> 7);
  free(data);
  CHECK(wrong == 0);
  return as_pointer(got);
}

static void both_directions(const int pair[2]) {
  struct half halves[4] = {{pair[0], 31}, {pair[1], 31}, {pair[1], 77}, {pair[0], 77}};
  pthread_t threads[4];
  threads[3] = start_thread(read_half, &halves[3]);
  threads[0] = start_thread(write_half, &halves[0]);
  threads[2] = start_thread(write_half, &halves[2]);
  threads[1] = start_thread(read_half, &halves[1]);
  for (int i = 0; i < 4; i++) say("half %d: %ld", i, as_long(join_thread(threads[i])));
}

static sem_t about_to_wait;

static void* read_byte(void* argument) {
  char byte = 0;
  sem_post(&about_to_wait);
  return as_pointer(read((int)as_long(argument), &byte, 1) == 1 ? byte : -1);
}

static void several_readers(const int pair[2]) {
  enum { kReaders = 20 };
  pthread_t threads[kReaders];
  for (int i = 0; i < kReaders; i++) threads[i] = start_thread(read_byte, as_pointer(pair[0]));
  for (int i = 0; i < kReaders; i++) sem_wait(&about_to_wait);
  settle();
  // All in one piece: one event, twenty readers to serve.
  MUST(send(pair[1], "abcdefghijklmnopqrst", kReaders, 0) == kReaders);
  long sum = 0;
  for (int i = 0; i < kReaders; i++) sum += as_long(join_thread(threads[i]));
  say("twenty readers: sum %ld", sum);
}

static void* write_kilobytes(void* argument) {
  char block[1000];
  memset(block, 'w', sizeof block);
  long total = 0;
  for (int i = 0; i < 300; i++) total += write((int)as_long(argument), block, sizeof block);
  return as_pointer(total);
}

static void several_writers(const int pair[2]) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) threads[i] = start_thread(write_kilobytes, as_pointer(pair[0]));
  char* data = malloc(1200000);
  SHOW(recv(pair[1], data, 1200000, MSG_WAITALL));
  free(data);
  long total = 0;
  for (int i = 0; i < 4; i++) total += as_long(join_thread(threads[i]));
  say("four writers: %ld", total);
}

static void* wait_urgent(void* argument) {
  struct pollfd entry = {(int)as_long(argument), POLLPRI, 0};
  sem_post(&about_to_wait);
  int ready = poll(&entry, 1, -1);
  return as_pointer(ready == 1 && (entry.revents & POLLPRI));
}

static void urgent(void) {
  int pair[2];
  char byte;
  tcp_pair(pair);
  pthread_t thread = start_thread(wait_urgent, as_pointer(pair[0]));
  sem_wait(&about_to_wait);
  settle();
  // The queue of errors is never waited for.
  SHOW(recv(pair[0], &byte, 1, MSG_ERRQUEUE));
  SHOW(send(pair[1], "ab!", 3, MSG_OOB));
  say("urgent: %ld", as_long(join_thread(thread)));
  SHOW(recv(pair[0], &byte, 1, MSG_OOB));
  CHECK(byte == '!');
  SHOW(recv(pair[0], &byte, 1, MSG_OOB));
  SHOW(recv(pair[0], &byte, 1, 0));
  int at_mark = -1;
  SHOW(ioctl(pair[0], SIOCATMARK, &at_mark));
  SHOW(recv(pair[0], &byte, 1, 0));
  close(pair[0]);
  close(pair[1]);
}

int main(void) {
  int pair[2];
  sem_init(&about_to_wait, 0, 0);
  for (int tcp = 0; tcp < 2; tcp++) {
    if (tcp)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    say("-- %s", tcp ? "tcp" : "socketpair");
    both_directions(pair);
    several_readers(pair);
    several_writers(pair);
    close(pair[0]);
    close(pair[1]);
  }
  urgent();
  return finish();
}
