// SPDX-License-Identifier: Apache-2.0
// close() while another thread waits in read, and the number reused at once: the sleeper keeps what it sleeps on, also where the
// process has no other number left.
//
// Only time can tell that the reader has got into its wait; where it has not, the run differs, so the pause is
// generous.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static sem_t about_to_wait;

struct waiter {
  int fd;
  ssize_t result;
  int error;
  char byte;
};

static void* reader(void* argument) {
  struct waiter* waiter = argument;
  sem_post(&about_to_wait);
  errno = 0;
  waiter->result = read(waiter->fd, &waiter->byte, 1);
  waiter->error = errno;
  return NULL;
}

static int close_it(int fd) { return close(fd); }
static int close_as_stream(int fd) { return fclose(fdopen(fd, "r")); }

static void one(const char* kind, int near, int far, int (*close_by)(int)) {
  struct waiter waiter = {near, -2, 0, '-'}, second = {near, -2, 0, '-'};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  settle();
  CHECK(close_by(near) == 0);
  CHECK(fcntl(near, F_GETFD) == -1 && errno == EBADF);

  // The number belongs to another description now, which has a reader of its own.
  int other[2];
  unix_pair(SOCK_STREAM, other);
  CHECK(other[0] == near);
  pthread_t second_thread = start_thread(reader, &second);
  sem_wait(&about_to_wait);
  settle();
  MUST(write(far, "1", 1) == 1);
  join_thread(thread);
  say("%s: the sleeper got %zd '%c' %s", kind, waiter.result, waiter.byte, name_of_errno(waiter.error));
  CHECK(second.result == -2);
  MUST(write(other[1], "2", 1) == 1);
  join_thread(second_thread);
  say("%s: the new owner of the number got %zd '%c'", kind, second.result, second.byte);
  close(other[0]);
  close(other[1]);
  close(far);
}

static void dup_over(int near, int far) {
  struct waiter waiter = {near, -2, 0, '-'};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  settle();
  int other[2];
  unix_pair(SOCK_STREAM, other);
  CHECK(dup2(other[0], near) == near);
  MUST(write(other[1], "n", 1) == 1);
  MUST(write(far, "o", 1) == 1);
  join_thread(thread);
  say("dup2 over it: the sleeper got %zd '%c'", waiter.result, waiter.byte);
  char byte = '-';
  say("and the number reads %zd", read(near, &byte, 1));
  CHECK(byte == 'n');
  close(near);
  close(other[0]);
  close(other[1]);
  close(far);
}

enum { kMost = 200 };

static void* writer(void* argument) {
  struct waiter* waiter = argument;
  static char much[1 << 20];
  sem_post(&about_to_wait);
  waiter->result = write(waiter->fd, much, sizeof much);
  waiter->error = errno;
  return NULL;
}

static long drain(int fd) {
  char buffer[4096];
  long sum = 0;
  for (ssize_t got; sum < 1 << 20 && (got = read(fd, buffer, sizeof buffer)) > 0;) sum += got;
  return sum;
}

// Every number is taken when `near` is closed, and `near` itself, by something else, right after that.
static void with_none_left(const char* kind, int near, int far, thread_start wait) {
  int fillers[kMost], count = 0, other[2];
  struct waiter waiters[2] = {{near, -2, 0, '-'}, {near, -2, 0, '-'}};
  pthread_t threads[2];
  unix_pair(SOCK_STREAM, other);
  int kept = wait == writer ? 1 : 2;  // two writers would mix
  for (int i = 0; i < kept; i++) threads[i] = start_thread(wait, &waiters[i]);
  for (int i = 0; i < kept; i++) sem_wait(&about_to_wait);
  settle();
  settle();
  while (count < kMost && (fillers[count] = dup(other[0])) >= 0) count++;
  CHECK(count < kMost && errno == EMFILE);
  CHECK(close(near) == 0);
  CHECK(dup(other[0]) == near);
  CHECK(dup(other[0]) == -1 && errno == EMFILE);
  MUST(write(other[1], "other", 5) == 5);
  settle();
  if (wait == writer) {
    CHECK(drain(far) == 1 << 20);
  } else {
    MUST(write(far, "1", 1) == 1);
    MUST(write(far, "2", 1) == 1);
  }
  long sum = 0;
  for (int i = 0; i < kept; i++) {
    join_thread(threads[i]);
    if (waiters[i].result < 0) say("%s", name_of_errno(waiters[i].error));
    sum += waiters[i].result;
  }
  say("%s, none left: the sleepers got %ld, '%c'", kind, sum, waiters[0].byte == '-' ? '-' : '+');
  char buffer[8];
  CHECK(read(near, buffer, sizeof buffer) == 5);
  for (int i = 0; i < count; i++) close(fillers[i]);
  close(near);
  close(far);
  close(other[0]);
  close(other[1]);
}

static void limited(void) {
  struct rlimit limit = {kMost, kMost};
  int pair[2];
  for (int round = 0; round < 6; round++) {
    // Lower and lower, by every name.
    limit.rlim_cur = limit.rlim_max = (rlim_t)(kMost - 20 * round);
    struct rlimit64 wide = {limit.rlim_cur, limit.rlim_max};
    MUST((round == 0   ? setrlimit(RLIMIT_NOFILE, &limit)
          : round == 1 ? setrlimit64(RLIMIT_NOFILE, &wide)
          : round == 2 ? prlimit(0, RLIMIT_NOFILE, &limit, NULL)
          : round == 3 ? prlimit64(getpid(), RLIMIT_NOFILE, &wide, NULL)
          : round == 4 ? (int)syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit)
                       : (int)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL)) == 0);
    unix_pair(SOCK_STREAM, pair);
    with_none_left("socketpair", pair[0], pair[1], reader);
    tcp_pair(pair);
    with_none_left("tcp", pair[0], pair[1], reader);
    MUST(pipe(pair) == 0);
    with_none_left("pipe", pair[0], pair[1], reader);
    MUST(pipe(pair) == 0);
    with_none_left("writer to a pipe", pair[1], pair[0], writer);
    unix_pair(SOCK_STREAM, pair);
    with_none_left("writer to a socketpair", pair[1], pair[0], writer);
  }
}

static void* nothing(void* unused) { return unused; }

int main(int argc, char** argv) {
  if (argc > 1) {
    sem_init(&about_to_wait, 0, 0);
    if (strcmp(argv[1], "later") == 0) in_thread(nothing, NULL);
    limited();
    return finish();
  }
  int pair[2];
  sem_init(&about_to_wait, 0, 0);
  unix_pair(SOCK_STREAM, pair);
  one("socketpair", pair[0], pair[1], close_it);
  unix_pair(SOCK_STREAM, pair);
  one("socketpair, as a stream", pair[0], pair[1], close_as_stream);
  tcp_pair(pair);
  // The listener's number is free again; the sleeper's has to be the lowest, for the next description to take it.
  int lowest = dup(pair[0]);
  close(pair[0]);
  one("tcp", lowest, pair[1], close_it);
  MUST(pipe(pair) == 0);
  one("pipe", pair[0], pair[1], close_it);
  unix_pair(SOCK_STREAM, pair);
  dup_over(pair[0], pair[1]);
  return finish();
}
