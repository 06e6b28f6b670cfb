// SPDX-License-Identifier: Apache-2.0
// Data moved between descriptors by the kernel: sendfile, splice, tee, vmsplice, copy_file_range, where they wait and
// not.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { kSize = 2 << 20 };

static char* data;
static sem_t about_to_wait;

static void* read_all(void* argument) {
  int fd = (int)as_long(argument);
  char* buffer = malloc(kSize + 1);
  long total = 0;
  ssize_t got;
  while ((got = read(fd, buffer + total, (size_t)(kSize + 1 - total))) > 0) total += got;
  CHECK(memcmp(buffer, data, (size_t)(total > kSize ? kSize : total)) == 0);
  free(buffer);
  close(fd);
  return as_pointer(total);
}

static void files_to_sockets(int file, int use64) {
  int pair[2];
  tcp_pair(pair);
  pthread_t reader = start_thread(read_all, as_pointer(pair[1]));
  off_t offset = 0;
  off64_t offset64 = 0;
  long sent = 0;
  while (sent < kSize) {
    ssize_t now = use64 ? sendfile64(pair[0], file, &offset64, (size_t)(kSize - sent))
                        : sendfile(pair[0], file, &offset, (size_t)(kSize - sent));
    MUST(now > 0);
    sent += now;
  }
  CHECK((use64 ? (long)offset64 : (long)offset) == kSize);
  close(pair[0]);
  say("sendfile%s: %ld sent, %ld read", use64 ? "64" : "", sent, as_long(join_thread(reader)));
}

struct splicing {
  int from;
  int to;
};

static void* splice_all(void* argument) {
  struct splicing* splicing = argument;
  long total = 0;
  ssize_t now;
  sem_post(&about_to_wait);
  while ((now = splice(splicing->from, NULL, splicing->to, NULL, 1 << 16, SPLICE_F_MOVE)) > 0) total += now;
  CHECK(now == 0);
  close(splicing->from);
  close(splicing->to);
  return as_pointer(total);
}

// socket -> pipe -> socket, each hop a thread that waits.
static void splices(void) {
  int first[2], second[2], ends[2];
  unix_pair(SOCK_STREAM, first);
  unix_pair(SOCK_STREAM, second);
  MUST(pipe(ends) == 0);
  struct splicing in = {first[1], ends[1]}, out = {ends[0], second[0]};
  pthread_t threads[3] = {start_thread(splice_all, &in), start_thread(splice_all, &out),
                          start_thread(read_all, as_pointer(second[1]))};
  sem_wait(&about_to_wait);
  sem_wait(&about_to_wait);
  settle();
  MUST(send(first[0], data, kSize, 0) == kSize);
  close(first[0]);
  for (int i = 0; i < 3; i++) say("splice hop %d: %ld", i, as_long(join_thread(threads[i])));
}

static void pipes(void) {
  int a[2], b[2];
  char buffer[16];
  MUST(pipe(a) == 0 && pipe(b) == 0);
  struct iovec part = {(void*)"vmspliced", 9};
  SHOW(vmsplice(a[1], &part, 1, 0));
  SHOW(tee(a[0], b[1], 100, 0));
  SHOW(read(a[0], buffer, sizeof buffer));
  SHOW(read(b[0], buffer, sizeof buffer));
  SHOW(tee(a[0], b[1], 100, SPLICE_F_NONBLOCK));
  SHOW(splice(a[0], NULL, b[1], NULL, 100, SPLICE_F_NONBLOCK));
  close(a[1]);
  SHOW(splice(a[0], NULL, b[1], NULL, 100, 0));
  close(a[0]);
  close(b[0]);
  close(b[1]);
}

static void* all(void* unused) {
  int file = open("data", O_RDWR | O_CREAT, 0600);
  MUST(write(file, data, kSize) == kSize);
  files_to_sockets(file, 0);
  files_to_sockets(file, 1);
  int copy = open("copy", O_RDWR | O_CREAT, 0600);
  loff_t from = 0, to = 0;
  long copied = 0;
  while (copied < kSize) {
    ssize_t now = copy_file_range(file, &from, copy, &to, (size_t)(kSize - copied), 0);
    MUST(now > 0);
    copied += now;
  }
  say("copy_file_range: %ld", copied);
  SHOW(lseek(copy, 0, SEEK_SET));
  say("and read back: %ld", as_long(read_all(as_pointer(copy))));
  close(file);
  splices();
  pipes();
  return unused;
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  data = malloc(kSize);
  for (int i = 0; i < kSize; i++) data[i] = (char)(i * 40503u >> 11);
  in_thread(all, NULL);
  free(data);
  return finish();
}
