// SPDX-License-Identifier: Apache-2.0
// A thread that takes signals by sigwait and kin while main and all others block them, and threads that serve
// meanwhile.
#include "socket_pairs.h"

#include <semaphore.h>
#include <signal.h>

static sem_t seen;
static sigset_t set;

static void* by_sigwait(void* unused) {
  for (;;) {
    int number = 0;
    MUST(sigwait(&set, &number) == 0);
    say("sigwait: %s", sigabbrev_np(number));
    sem_post(&seen);
    if (number == SIGTERM) return unused;
  }
}

static void* by_sigwaitinfo(void* unused) {
  siginfo_t info;
  int number = sigwaitinfo(&set, &info);
  say("sigwaitinfo: %s, from this process %d", sigabbrev_np(number), info.si_pid == getpid());
  sem_post(&seen);
  struct timespec length = {0, 20000000};
  SHOW(sigtimedwait(&set, &info, &length));
  length.tv_sec = 20;
  number = sigtimedwait(&set, &info, &length);
  say("sigtimedwait: %s", sigabbrev_np(number));
  sem_post(&seen);
  return unused;
}

static volatile sig_atomic_t handled;
static void handler(int number) { handled = number; }

static void* by_sigsuspend(void* unused) {
  sigset_t open;
  sigfillset(&open);
  sigdelset(&open, SIGUSR1);
  SHOW(sigsuspend(&open));
  say("sigsuspend: %s", sigabbrev_np(handled));
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  say("blocked again: %d", sigismember(&after, SIGUSR1));
  sem_post(&seen);
  return unused;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  while (read(fd, &byte, 1) == 1) MUST(write(fd, &byte, 1) == 1);
  return NULL;
}

int main(void) {
  int pair[2];
  char byte = 0;
  sem_init(&seen, 0, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  unix_pair(SOCK_STREAM, pair);
  pthread_t server = start_thread(echo, as_pointer(pair[1]));

  pthread_t taker = start_thread(by_sigwait, NULL);
  MUST(kill(getpid(), SIGHUP) == 0);
  sem_wait(&seen);
  MUST(write(pair[0], "1", 1) == 1 && read(pair[0], &byte, 1) == 1);
  MUST(pthread_kill(taker, SIGUSR1) == 0);
  sem_wait(&seen);
  MUST(kill(getpid(), SIGTERM) == 0);
  join_thread(taker);
  sem_wait(&seen);

  taker = start_thread(by_sigwaitinfo, NULL);
  MUST(kill(getpid(), SIGHUP) == 0);
  sem_wait(&seen);
  settle();
  MUST(kill(getpid(), SIGTERM) == 0);
  join_thread(taker);

  signal(SIGUSR1, handler);
  taker = start_thread(by_sigsuspend, NULL);
  MUST(pthread_kill(taker, SIGUSR1) == 0);
  join_thread(taker);
  MUST(write(pair[0], "2", 1) == 1 && read(pair[0], &byte, 1) == 1);
  say("served meanwhile: %c", byte);
  close(pair[0]);
  join_thread(server);
  return finish();
}
