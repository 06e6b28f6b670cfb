// SPDX-License-Identifier: Apache-2.0
// Pipes and FIFOs: waits for data and room, end of file, zero length, packets, atomic writes, and the open that waits.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

static sem_t about_to_wait;

static void* count_bytes(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[999];
  long total = 0;
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) total += got;
  CHECK(got == 0);
  close(fd);
  return as_pointer(total);
}

static void* fill(void* argument) {
  int fd = (int)as_long(argument);
  static char block[200000];
  struct iovec parts[2] = {{block, 70000}, {block, 30000}};
  long total = write(fd, block, sizeof block);
  total += writev(fd, parts, 2);
  close(fd);
  return as_pointer(total);
}

static void both_ways(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  pthread_t reader = start_thread(count_bytes, as_pointer(ends[0])), writer = start_thread(fill, as_pointer(ends[1]));
  long wrote = as_long(join_thread(writer)), got = as_long(join_thread(reader));
  say("wrote %ld, read %ld", wrote, got);
}

static void* details(void* unused) {
  int ends[2];
  char buffer[16];
  struct iovec parts[2] = {{buffer, 3}, {buffer + 3, 8}};
  MUST(pipe(ends) == 0);
  SHOW(read(ends[0], buffer, 0));
  SHOW(write(ends[1], "", 0));
  SHOW(write(ends[1], "abcdef", 6));
  int waiting = 0;
  SHOW(ioctl(ends[0], FIONREAD, &waiting));
  say("FIONREAD %d", waiting);
  SHOW(readv(ends[0], parts, 2));
  SHOW(read(ends[1], buffer, 1));
  SHOW(write(ends[0], buffer, 1));
  SHOW(lseek(ends[0], 0, SEEK_CUR));
  SHOW(pread(ends[0], buffer, 1, 0));
  close(ends[1]);
  SHOW(read(ends[0], buffer, 1));
  SHOW(readv(ends[0], parts, 2));
  close(ends[0]);

  MUST(pipe(ends) == 0);
  close(ends[0]);
  SHOW(write(ends[1], "x", 1));
  close(ends[1]);

  // Packets keep their bounds.
  MUST(pipe2(ends, O_DIRECT) == 0);
  SHOW(write(ends[1], "one", 3));
  SHOW(write(ends[1], "three", 5));
  SHOW(read(ends[0], buffer, sizeof buffer));
  SHOW(read(ends[0], buffer, 2));
  close(ends[0]);
  close(ends[1]);
  return unused;
}

// Writes of up to PIPE_BUF bytes never mix, however many threads write.
static int shared_end;

static void* write_records(void* argument) {
  char record[512];
  memset(record, (int)as_long(argument), sizeof record);
  for (int i = 0; i < 100; i++) MUST(write(shared_end, record, sizeof record) == (ssize_t)sizeof record);
  return NULL;
}

static void atomic_writes(void) {
  int ends[2];
  pthread_t writers[8];
  MUST(pipe(ends) == 0);
  shared_end = ends[1];
  for (int i = 0; i < 8; i++) writers[i] = start_thread(write_records, as_pointer('a' + i));
  int mixed = 0;
  for (int i = 0; i < 800; i++) {
    char record[512];
    for (size_t got = 0; got < sizeof record;) {
      ssize_t now = read(ends[0], record + got, sizeof record - got);
      MUST(now > 0);
      got += (size_t)now;
    }
    for (size_t k = 1; k < sizeof record; k++) mixed += record[k] != record[0];
  }
  for (int i = 0; i < 8; i++) join_thread(writers[i]);
  say("mixed records: %d", mixed);
  close(ends[0]);
  close(ends[1]);
}

static void* open_reader(void* argument) {
  char buffer[8] = {0};
  sem_post(&about_to_wait);
  int fd;
  switch (as_long(argument)) {
    case 0:
      fd = open("fifo", O_RDONLY);
      break;
    case 1:
      fd = open64("fifo", O_RDONLY);
      break;
    case 2:
      fd = openat(AT_FDCWD, "fifo", O_RDONLY);
      break;
    default:
      fd = openat64(AT_FDCWD, "fifo", O_RDONLY | O_CLOEXEC);
      break;
  }
  MUST(fd >= 0);
  ssize_t got = read(fd, buffer, sizeof buffer);
  MUST(read(fd, buffer, sizeof buffer) == 0);
  close(fd);
  return as_pointer(got);
}

static void fifos(void) {
  MUST(mkfifo("fifo", 0600) == 0);
  // Nobody reads yet: a non-blocking open for writing says so.
  SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
  for (long how = 0; how < 4; how++) {
    pthread_t reader = start_thread(open_reader, as_pointer(how));
    sem_wait(&about_to_wait);
    settle();
    int fd = open("fifo", O_WRONLY);
    MUST(fd >= 0);
    MUST(write(fd, "four", 4) == 4);
    close(fd);
    say("fifo %ld: read %ld", how, as_long(join_thread(reader)));
  }
}

static void* pipe_reader(void* argument) {
  char byte = 0;
  sem_post(&about_to_wait);
  ssize_t got = read((int)as_long(argument), &byte, 1);
  return as_pointer(got == 1 ? byte : '!');
}

// Many readers wait on one pipe; each byte goes to one of them, and the end to the rest.
static void many_readers(void) {
  int ends[2];
  pthread_t readers[10];
  MUST(pipe(ends) == 0);
  for (int i = 0; i < 10; i++) readers[i] = start_thread(pipe_reader, as_pointer(ends[0]));
  for (int i = 0; i < 10; i++) sem_wait(&about_to_wait);
  settle();
  for (int i = 0; i < 3; i++) MUST(write(ends[1], "b", 1) == 1);
  MUST(write(ends[1], "bbb", 3) == 3);
  close(ends[1]);
  int bytes = 0, ends_seen = 0;
  for (int i = 0; i < 10; i++) {
    long byte = as_long(join_thread(readers[i]));
    bytes += byte == 'b';
    ends_seen += byte == '!';
  }
  say("%d bytes, %d ends", bytes, ends_seen);
  close(ends[0]);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  sem_init(&about_to_wait, 0, 0);
  both_ways();
  in_thread(details, NULL);
  atomic_writes();
  fifos();
  many_readers();
  return finish();
}
