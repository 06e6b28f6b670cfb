// SPDX-License-Identifier: Apache-2.0
// signalfd: a thread reads from it what is pending for itself and for the process, and nothing that is another thread's; by read,
// poll, select and epoll, blocking and not, before the signal comes and after.
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

enum how { kRead, kReadAtOnce, kPoll, kPollAtOnce, kSelect, kEpoll, kEpollAtOnce, kCopy, kHows };

static const char* const names[] = {"read",  "non-blocking read", "poll",          "poll at once", "select",
                                    "epoll", "epoll at once",     "read of a copy"};

struct reader {
  enum how how;
  int fd;
  sem_t there, go;
};

static sigset_t the_set(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN + 1);
  return set;
}

static void show_next(int fd) {
  struct signalfd_siginfo info;
  memset(&info, 0, sizeof info);
  ssize_t got = read(fd, &info, sizeof info);
  int error = errno;
  if (got != sizeof info) {
    say("  %s", got < 0 ? name_of_errno(error) : "short");
    return;
  }
  say("  SIG%s, code %d, value %d, own pid %d", info.ssi_signo == SIGUSR1 ? "USR1" : "RT", info.ssi_code, info.ssi_int,
      info.ssi_pid == (unsigned)getpid());
}

static int look(struct reader* r, int at_once) {
  int wait = at_once ? 0 : -1;
  if (r->how == kSelect) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(r->fd, &set);
    return select(r->fd + 1, &set, NULL, NULL, NULL);
  }
  if (r->how == kEpoll || r->how == kEpollAtOnce) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, r->fd, &event) == 0);
    int found = epoll_wait(epoll, &event, 1, wait);
    close(epoll);
    return found;
  }
  struct pollfd fd = {r->fd, POLLIN, 0};
  return poll(&fd, 1, wait);
}

static void* reads(void* argument) {
  struct reader* r = argument;
  sigset_t set = the_set();
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  int at_once = r->how == kReadAtOnce || r->how == kPollAtOnce || r->how == kEpollAtOnce;
  r->fd = signalfd(-1, &set, r->how == kReadAtOnce ? SFD_NONBLOCK : 0);
  MUST(r->fd >= 0);
  if (r->how == kCopy) MUST((r->fd = fcntl(r->fd, F_DUPFD, 50)) >= 0);
  if (r->how == kReadAtOnce) show_next(r->fd);
  if (r->how == kPollAtOnce || r->how == kEpollAtOnce) say("  found %d", look(r, 1));
  sem_post(&r->there);
  if (at_once) sem_wait(&r->go);
  if (r->how != kRead && r->how != kReadAtOnce && r->how != kCopy) say("  found %d", look(r, at_once));
  show_next(r->fd);
  return argument;
}

static void* sees_none(void* argument) {
  struct pollfd fd = {((struct reader*)argument)->fd, POLLIN, 0};
  say("  another thread: %d", poll(&fd, 1, 0));
  return argument;
}

static void each(enum how how, int queued) {
  struct reader r = {.how = how};
  sem_init(&r.there, 0, 0);
  sem_init(&r.go, 0, 0);
  say("%s, %s", names[how], queued ? "pthread_sigqueue" : "pthread_kill");
  pthread_t thread = start_thread(reads, &r);
  sem_wait(&r.there);
  if (queued)
    MUST(pthread_sigqueue(thread, SIGRTMIN + 1, (union sigval){.sival_int = 7}) == 0);
  else
    MUST(pthread_kill(thread, SIGUSR1) == 0);
  int at_once = how == kReadAtOnce || how == kPollAtOnce || how == kEpollAtOnce;
  if (at_once) in_thread(sees_none, &r);
  sem_post(&r.go);
  join_thread(thread);
  close(r.fd);
}

// Sent by itself, several at once, with calls in between that hand its signals to the kernel and take them back.
static void* sends_to_itself(void* unused) {
  sigset_t set = the_set(), pending;
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  int fd = signalfd(-1, &set, SFD_NONBLOCK);
  for (int i = 0; i < 3; i++) MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
  MUST(raise(SIGUSR1) == 0);
  MUST(raise(SIGUSR1) == 0);
  struct pollfd polled = {fd, POLLIN, 0};
  SHOW(poll(&polled, 1, 10));
  sigpending(&pending);
  say("pending: %d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN + 1));
  struct signalfd_siginfo infos[3];
  SHOW(read(fd, infos, sizeof infos) / (long)sizeof *infos);
  for (int i = 0; i < 3; i++) say("  SIG%s %d", infos[i].ssi_signo == SIGUSR1 ? "USR1" : "RT", infos[i].ssi_int);
  int number;
  MUST(sigwait(&set, &number) == 0);
  say("the last: %d", number == SIGRTMIN + 1);
  show_next(fd);
  close(fd);
  return unused;
}

int main(void) {
  sigset_t set = the_set();
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  for (int how = 0; how < kHows; how++) {
    each(how, 0);
    each(how, 1);
  }
  in_thread(sends_to_itself, NULL);
  return finish();
}
