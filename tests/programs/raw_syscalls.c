// SPDX-License-Identifier: Apache-2.0
// syscall() with the numbers of calls that wait or make and close descriptors; futexes with it among threads and with
// main.
#include "socket_pairs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int word, ready_count;

static long futex(int* address, int operation, int value, const struct timespec* timeout, int* second, int third) {
  return syscall(SYS_futex, address, operation, value, timeout, second, third);
}

static void* ping(void* argument) {
  int side = (int)as_long(argument);
  for (int i = 0; i < 200; i++) {
    int now;
    while ((now = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) % 2 != side) {
      long result = futex(&word, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
      CHECK(result == 0 || errno == EAGAIN || errno == EINTR);
    }
    __atomic_add_fetch(&word, 1, __ATOMIC_RELEASE);
    futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
  }
  return NULL;
}

static void* waits_bitset(void* unused) {
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 20000);
  __atomic_add_fetch(&ready_count, 1, __ATOMIC_RELEASE);
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == 0)
    CHECK(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &limit, NULL, FUTEX_BITSET_MATCH_ANY) == 0 || errno == EAGAIN ||
          errno == EINTR);
  return unused;
}

static void* times(void* unused) {
  int own = 5;
  struct timespec length = {0, 30000000};
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(futex(&own, FUTEX_WAIT_PRIVATE, 5, &length, NULL, 0));
  CHECK(ms_since(start) >= 30);
  SHOW(futex(&own, FUTEX_WAIT_PRIVATE, 6, NULL, NULL, 0));
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 30);
  SHOW(futex(&own, FUTEX_WAIT_BITSET_PRIVATE, 5, &limit, NULL, FUTEX_BITSET_MATCH_ANY));
  limit = after_ms(CLOCK_REALTIME, 30);
  SHOW(futex(&own, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &limit, NULL, FUTEX_BITSET_MATCH_ANY));
  length.tv_nsec = 1000000000;
  SHOW(futex(&own, FUTEX_WAIT_PRIVATE, 5, &length, NULL, 0));
  SHOW(futex(&own, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  SHOW(futex(&own, FUTEX_WAKE, 1, NULL, NULL, 0));
  SHOW(futex(&own, 999, 1, NULL, NULL, 0));
  return unused;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char buffer[16];
  struct iovec part = {buffer, sizeof buffer};
  for (int i = 0;; i++) {
    long got;
    if (i % 3 == 0)
      got = syscall(SYS_read, fd, buffer, sizeof buffer);
    else if (i % 3 == 1)
      got = syscall(SYS_recvfrom, fd, buffer, sizeof buffer, 0, NULL, NULL);
    else
      got = syscall(SYS_readv, fd, &part, 1);
    if (got <= 0) break;
    if (i % 2 == 0)
      MUST(syscall(SYS_write, fd, buffer, got) == got);
    else
      MUST(syscall(SYS_sendto, fd, buffer, got, MSG_NOSIGNAL, NULL, 0) == got);
  }
  syscall(SYS_close, fd);
  return NULL;
}

static void sends_to_itself(void) {
  uint64_t set = 1u << (SIGUSR1 - 1), before = 0, pending = 0;
  siginfo_t sent, got;
  memset(&sent, 0, sizeof sent);
  memset(&got, 0, sizeof got);
  sent.si_code = SI_QUEUE;
  sent.si_value.sival_int = 4711;
  MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &before, 8L) == 0);
  SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &sent));
  SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), 65, &sent));
  SHOW(syscall(SYS_rt_sigpending, &pending, 8L));
  SHOW(pending == set);
  SHOW(syscall(SYS_rt_sigtimedwait, &set, &got, NULL, 8L));
  say("code %d, value %d", got.si_code, got.si_value.sival_int);
  MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8L) == 0);
  SHOW(syscall(SYS_kill, gettid(), 0));
  SHOW(syscall(SYS_tgkill, getpid(), gettid(), 0));
}

static void* calls(void* unused) {
  int pair[2], ends[2];
  char byte;
  MUST(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  pthread_t server = start_thread(echo, as_pointer(pair[1]));
  long right = 0;
  for (int i = 0; i < 12; i++) {
    char out = (char)('a' + i), in = 0;
    MUST(syscall(SYS_write, pair[0], &out, 1) == 1);
    struct pollfd entry = {pair[0], POLLIN, 0};
    MUST(syscall(SYS_poll, &entry, 1, -1) == 1);
    MUST(syscall(SYS_read, pair[0], &in, 1) == 1);
    right += in == out;
  }
  say("echoes %ld", right);
  // Closed past close(), the number goes to another description, which is waited on.
  int number = pair[0];
  SHOW(syscall(SYS_close, number));
  join_thread(server);
  MUST(syscall(SYS_pipe2, ends, O_CLOEXEC) == 0);
  CHECK(ends[0] == number);
  SHOW(syscall(SYS_write, ends[1], "p", 1L));
  SHOW(syscall(SYS_read, ends[0], &byte, 1L));
  long copy = syscall(SYS_dup, ends[0]);
  SHOW(syscall(SYS_close, ends[0]));
  SHOW(syscall(SYS_dup3, (int)copy, ends[0], 0) == ends[0]);
  SHOW(syscall(SYS_close_range, (int)copy, (int)copy, 0));
  SHOW(syscall(SYS_read, (int)copy, &byte, 1L) == -1 && errno == EBADF);
  syscall(SYS_close, ends[0]);
  syscall(SYS_close, ends[1]);
  struct timespec length = {0, 20000000};
  long long start = now_ns(CLOCK_MONOTONIC);
  SHOW(syscall(SYS_nanosleep, &length, NULL));
  SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &length, NULL));
  CHECK(ms_since(start) >= 40);
  SHOW(syscall(SYS_sched_yield));
  SHOW(syscall(SYS_gettid) == gettid());
  int* cleared_at_end = NULL;
  SHOW(prctl(PR_GET_TID_ADDRESS, &cleared_at_end));
  SHOW(syscall(SYS_set_tid_address, cleared_at_end) == gettid());
  sends_to_itself();
  SHOW(syscall(SYS_getpid) == getpid());
  SHOW(syscall(-1L));
  SHOW(syscall(100000L));
  return unused;
}

int main(void) {
  pthread_t threads[10];
  for (int with_main = 0; with_main < 2; with_main++) {
    word = 0;
    threads[0] = start_thread(ping, as_pointer(0));
    if (with_main)
      ping(as_pointer(1));
    else
      in_thread(ping, as_pointer(1));
    join_thread(threads[0]);
    say("turns %d", word);
  }
  word = 0;
  for (int i = 0; i < 10; i++) threads[i] = start_thread(waits_bitset, NULL);
  while (__atomic_load_n(&ready_count, __ATOMIC_ACQUIRE) != 10) sched_yield();
  settle();
  __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
  long woken = futex(&word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, FUTEX_BITSET_MATCH_ANY);
  CHECK(woken >= 0 && woken <= 10);
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("ten woken");
  times(NULL);
  in_thread(times, NULL);
  calls(NULL);
  in_thread(calls, NULL);
  return finish();
}
