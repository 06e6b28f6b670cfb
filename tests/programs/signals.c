// SPDX-License-Identifier: Apache-2.0
// Signals to threads: pthread_kill into waits of each kind (EINTR or restart), masks of one's own, inheritance, raise.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>

static volatile sig_atomic_t handled;
static pthread_t handled_in;
static sem_t about_to_wait, handler_ran;
static int ends[2];

static void handler(int number) {
  int saved = errno;
  handled = number;
  handled_in = pthread_self();
  sem_post(&handler_ran);
  errno = saved;
}

static void install(int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  MUST(sigaction(SIGUSR1, &action, NULL) == 0);
}

enum { kRead, kNanosleep, kUsleep, kPoll, kPpoll, kSelect, kPause, kSemWait, kSemTimedWait, kAccept, kSleep, kWaits };
static const char* const wait_names[] = {"read",  "nanosleep", "usleep",        "poll",   "ppoll", "select",
                                         "pause", "sem_wait",  "sem_timedwait", "accept", "sleep"};

struct waiter {
  int kind;
  long result;
  int error;
};

static void* waiter_of(void* argument) {
  struct waiter* waiter = argument;
  char byte;
  struct timespec length = {20, 0}, left = {0, 0}, limit = after_ms(CLOCK_REALTIME, 20000);
  struct pollfd entry = {ends[0], POLLIN, 0};
  fd_set set;
  sem_t never;
  sem_init(&never, 0, 0);
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  int listener = waiter->kind == kAccept ? tcp_listener(1) : -1;
  sem_post(&about_to_wait);
  errno = 0;
  switch (waiter->kind) {
    case kRead:
      waiter->result = read(ends[0], &byte, 1);
      break;
    case kNanosleep:
      waiter->result = nanosleep(&length, &left);
      waiter->error = errno;
      CHECK(left.tv_sec >= 10 && left.tv_sec < 20);
      errno = waiter->error;
      break;
    case kUsleep:
      waiter->result = usleep(20000000);
      break;
    case kPoll:
      waiter->result = poll(&entry, 1, 20000);
      break;
    case kPpoll:
      waiter->result = ppoll(&entry, 1, &length, NULL);
      break;
    case kSelect:
      waiter->result = select(ends[0] + 1, &set, NULL, NULL, NULL);
      break;
    case kPause:
      waiter->result = pause();
      break;
    case kSemWait:
      waiter->result = sem_wait(&never);
      break;
    case kSemTimedWait:
      waiter->result = sem_timedwait(&never, &limit);
      break;
    case kAccept:
      waiter->result = accept(listener, NULL, NULL);
      break;
    default:
      waiter->result = sleep(20) >= 10 ? -1 : 0;
      break;
  }
  waiter->error = errno;
  if (listener >= 0) close(listener);
  return NULL;
}

// The handler runs in the thread that the signal was for, and its wait ends with EINTR. A signal that comes before the
// wait would not end it; so it is sent again until the thread is through.
static void interrupted(void) {
  install(0);
  for (int kind = 0; kind < kWaits; kind++) {
    struct waiter waiter = {kind, 0, 0};
    pthread_t thread = start_thread(waiter_of, &waiter);
    sem_wait(&about_to_wait);
    settle();
    int error, sent = 0;
    do {
      if (sent < 5) MUST(pthread_kill(thread, SIGUSR1) == 0);
      sent++;
      sem_wait(&handler_ran);
      CHECK(pthread_equal(handled_in, thread));
      struct timespec limit = after_ms(CLOCK_REALTIME, 2000);
      error = pthread_timedjoin_np(thread, NULL, &limit);
    } while (error == ETIMEDOUT && sent < 5);
    MUST(error == 0);
    say("%s: %ld %s", wait_names[kind], waiter.result, name_of_errno(waiter.error));
  }
}

static void restarted(void) {
  install(SA_RESTART);
  struct waiter waiter = {kRead, 0, 0};
  pthread_t thread = start_thread(waiter_of, &waiter);
  sem_wait(&about_to_wait);
  settle();
  for (int i = 0; i < 3; i++) {
    MUST(pthread_kill(thread, SIGUSR1) == 0);
    sem_wait(&handler_ran);
    CHECK(pthread_equal(handled_in, thread));
  }
  MUST(write(ends[1], "r", 1) == 1);
  join_thread(thread);
  say("read with SA_RESTART: %ld", waiter.result);
}

// A lock is never interrupted: the handler runs, the wait goes on.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int go;

static void* locks(void* unused) {
  sem_post(&about_to_wait);
  CHECK(pthread_mutex_lock(&mutex) == 0);
  while (!go) CHECK(pthread_cond_wait(&cond, &mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  return unused;
}

static void not_interrupted(void) {
  install(0);
  pthread_mutex_lock(&mutex);
  pthread_t thread = start_thread(locks, NULL);
  sem_wait(&about_to_wait);
  settle();
  MUST(pthread_kill(thread, SIGUSR1) == 0);
  sem_wait(&handler_ran);
  pthread_mutex_unlock(&mutex);
  settle();
  MUST(pthread_kill(thread, SIGUSR1) == 0);
  sem_wait(&handler_ran);
  pthread_mutex_lock(&mutex);
  go = 1;
  pthread_cond_signal(&cond);
  pthread_mutex_unlock(&mutex);
  join_thread(thread);
  say("locks are not interrupted");
}

static const char* mask_text(void) {
  static __thread char text[64];
  sigset_t set;
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  snprintf(text, sizeof text, "USR1 %d USR2 %d TERM %d", sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2),
           sigismember(&set, SIGTERM));
  return text;
}

static void* show_mask(void* unused) {
  say("inherited: %s", mask_text());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  sigaddset(&set, SIGUSR1);
  sigdelset(&set, SIGTERM);
  MUST(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
  for (int i = 0; i < 5; i++) sched_yield();
  say("changed: %s", mask_text());
  return unused;
}

static void* blocks_and_waits(void* unused) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  handled = 0;
  MUST(raise(SIGUSR1) == 0);
  struct timespec nap = {0, 1000000};
  CHECK(nanosleep(&nap, NULL) == 0);
  sigset_t pending;
  sigpending(&pending);
  say("blocked: handled %d, pending %d", (int)handled, sigismember(&pending, SIGUSR1));
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  say("unblocked: handled %d, in this thread %d", handled == SIGUSR1, pthread_equal(handled_in, pthread_self()));
  sem_wait(&handler_ran);
  handled = 0;
  MUST(raise(SIGUSR1) == 0);
  say("raised: handled %d, in this thread %d", handled == SIGUSR1, pthread_equal(handled_in, pthread_self()));
  sem_wait(&handler_ran);
  return unused;
}

static void* kills_itself(void* unused) {
  install(SA_RESTART);
  handled = 0;
  SHOW(tgkill(getpid(), gettid(), SIGUSR1));
  sem_wait(&handler_ran);
  say("tgkill of itself: handled %d, in this thread %d", handled == SIGUSR1, pthread_equal(handled_in, pthread_self()));
  SHOW(tgkill(getpid(), gettid(), 0));
  return unused;
}

static volatile sig_atomic_t value_seen;
static void with_value(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)context;
  value_seen = info->si_value.sival_int;
  sem_post(&handler_ran);
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  sem_init(&handler_ran, 0, 0);
  MUST(pipe(ends) == 0);
  interrupted();
  restarted();
  not_interrupted();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  in_thread(show_mask, NULL);
  say("main: %s", mask_text());
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  in_thread(show_mask, NULL);
  in_thread(blocks_and_waits, NULL);
  blocks_and_waits(NULL);

  struct waiter waiter = {kRead, 0, 0};
  pthread_t thread = start_thread(waiter_of, &waiter);
  sem_wait(&about_to_wait);
  SHOW_ERROR(pthread_kill(thread, 0));
  SHOW_ERROR(pthread_kill(thread, 999));
  MUST(write(ends[1], "e", 1) == 1);
  join_thread(thread);
  SHOW_ERROR(pthread_kill(pthread_self(), 0));
  thread = start_thread(waiter_of, &waiter);
  sem_wait(&about_to_wait);
  in_thread(kills_itself, NULL);
  MUST(write(ends[1], "e", 1) == 1);
  join_thread(thread);

  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = with_value;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  MUST(sigaction(SIGUSR2, &action, NULL) == 0);
  union sigval value = {.sival_int = 4711};
  thread = start_thread(waiter_of, &waiter);
  sem_wait(&about_to_wait);
  settle();
  SHOW_ERROR(pthread_sigqueue(thread, SIGUSR2, value));
  sem_wait(&handler_ran);
  say("value %d", (int)value_seen);
  MUST(write(ends[1], "e", 1) == 1);
  join_thread(thread);
  return finish();
}
