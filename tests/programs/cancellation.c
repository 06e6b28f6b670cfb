// SPDX-License-Identifier: Apache-2.0
// Deferred cancellation in every call that waits: the thread ends, its cleanup handlers and destructors run, locks
// return.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

static sem_t about_to_wait;
static int idle[2], listener, socket_pair[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int cleaned, cleaned_outer, destroyed;
static pthread_key_t key;

static void clean(void* argument) {
  CHECK(as_long(argument) == 41);
  CHECK(cleaned_outer == 0);
  cleaned++;
}
static void clean_outer(void* unused) {
  (void)unused;
  cleaned_outer++;
}
static void unlock(void* argument) { CHECK(pthread_mutex_unlock(argument) == 0); }
static void destroy(void* unused) {
  (void)unused;
  destroyed++;
}

static void* nothing_ends(void* unused) {
  char byte;
  while (read(idle[0], &byte, 1) > 0) {
  }
  return unused;
}

enum {
  kRead,
  kReadv,
  kRecv,
  kRecvfrom,
  kRecvmsg,
  kAccept,
  kPoll,
  kPpoll,
  kSelect,
  kPselect,
  kSleep,
  kUsleep,
  kNanosleep,
  kClockNanosleep,
  kPause,
  kSemWait,
  kSemTimedWait,
  kCondWait,
  kCondTimedWait,
  kJoin,
  kTestcancel,
  kWrite,
  kSend,
  kKernelKinds,
  kWaitpid = kKernelKinds,
  kOpen,
  kKinds
};
static const char* const names[] = {"read",
                                    "readv",
                                    "recv",
                                    "recvfrom",
                                    "recvmsg",
                                    "accept",
                                    "poll",
                                    "ppoll",
                                    "select",
                                    "pselect",
                                    "sleep",
                                    "usleep",
                                    "nanosleep",
                                    "clock_nanosleep",
                                    "pause",
                                    "sem_wait",
                                    "sem_timedwait",
                                    "pthread_cond_wait",
                                    "pthread_cond_timedwait",
                                    "pthread_join",

                                    "pthread_testcancel",
                                    "write",
                                    "send",
                                    "waitpid",
                                    "open"};

static pthread_t joined;
static pid_t waited_for;
static int full_pipe[2], full_socket[2];

static void wait_in(int kind) {
  char buffer[16];
  static char block[1 << 20];
  struct iovec part = {buffer, sizeof buffer};
  struct msghdr message;
  struct pollfd entry = {idle[0], POLLIN, 0};
  struct timespec length = {1000, 0}, limit = after_ms(CLOCK_REALTIME, 1000000);
  fd_set set;
  sem_t never;
  sem_init(&never, 0, 0);
  FD_ZERO(&set);
  FD_SET(idle[0], &set);
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  sem_post(&about_to_wait);
  switch (kind) {
    case kRead:
      read(idle[0], buffer, 1);
      break;
    case kReadv:
      readv(idle[0], &part, 1);
      break;
    case kRecv:
      recv(socket_pair[0], buffer, 1, 0);
      break;
    case kRecvfrom:
      recvfrom(socket_pair[0], buffer, 1, 0, NULL, NULL);
      break;
    case kRecvmsg:
      recvmsg(socket_pair[0], &message, 0);
      break;
    case kAccept:
      accept(listener, NULL, NULL);
      break;
    case kPoll:
      poll(&entry, 1, -1);
      break;
    case kPpoll:
      ppoll(&entry, 1, NULL, NULL);
      break;
    case kSelect:
      select(idle[0] + 1, &set, NULL, NULL, NULL);
      break;
    case kPselect:
      pselect(idle[0] + 1, &set, NULL, NULL, NULL, NULL);
      break;
    case kSleep:
      sleep(1000);
      break;
    case kUsleep:
      usleep(1000000000);
      break;
    case kNanosleep:
      nanosleep(&length, NULL);
      break;
    case kClockNanosleep:
      clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
      break;
    case kPause:
      pause();
      break;
    case kSemWait:
      sem_wait(&never);
      break;
    case kSemTimedWait:
      sem_timedwait(&never, &limit);
      break;
    case kCondWait:
    case kCondTimedWait:
      pthread_mutex_lock(&mutex);
      pthread_cleanup_push(unlock, &mutex);
      for (;;) {
        if (kind == kCondWait)
          pthread_cond_wait(&cond, &mutex);
        else
          pthread_cond_timedwait(&cond, &mutex, &limit);
      }
      pthread_cleanup_pop(1);
      break;
    case kJoin:
      pthread_join(joined, NULL);
      break;
    case kWaitpid:
      waitpid(waited_for, NULL, 0);
      break;
    case kTestcancel:
      for (;;) {
        pthread_testcancel();
        sched_yield();
      }
      break;
    case kWrite:
      write(full_pipe[1], block, sizeof block);
      break;
    case kSend:
      send(full_socket[0], block, sizeof block, 0);
      break;
    default:
      open("fifo", O_RDONLY);
      break;
  }
}

static void* cancelled(void* argument) {
  MUST(pthread_setspecific(key, &key) == 0);
  pthread_cleanup_push(clean_outer, NULL);
  pthread_cleanup_push(clean, as_pointer(41));
  wait_in((int)as_long(argument));
  say("%s came back", names[as_long(argument)]);
  pthread_cleanup_pop(0);
  pthread_cleanup_pop(0);
  return NULL;
}

static void every_call(int from, int to, int settled) {
  for (int kind = from; kind < to; kind++) {
    cleaned = cleaned_outer = destroyed = 0;
    pthread_t thread = start_thread(cancelled, as_pointer(kind));
    sem_wait(&about_to_wait);
    if (settled) {
      struct timespec nap = {0, 10000000};
      nanosleep(&nap, NULL);
    }
    MUST(pthread_cancel(thread) == 0);
    void* result = join_thread(thread);
    say("%s: cancelled %d, handlers %d %d, destructors %d", names[kind], result == PTHREAD_CANCELED, cleaned,
        cleaned_outer, destroyed);
    CHECK(pthread_mutex_trylock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
  }
}

static sem_t go;

static void* disabled(void* unused) {
  int state = -1, type = -1;
  CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type) == 0 && type == PTHREAD_CANCEL_DEFERRED);
  sem_post(&about_to_wait);
  sem_wait(&go);
  struct timespec nap = {0, 2000000};
  CHECK(nanosleep(&nap, NULL) == 0);
  say("not cancelled while disabled");
  SHOW_ERROR(pthread_setcancelstate(77, NULL));
  SHOW_ERROR(pthread_setcanceltype(77, NULL));
  CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_DISABLE);
  pthread_testcancel();
  say("not reached");
  return unused;
}

// pthread_mutex_lock is no cancellation point.
static void* locks(void* unused) {
  sem_post(&about_to_wait);
  CHECK(pthread_mutex_lock(&mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  say("a lock is no cancellation point");
  pthread_testcancel();
  return unused;
}

static void* computes(void* unused) {
  int type;
  CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type) == 0);
  sem_post(&about_to_wait);
  for (;;) {
  }
  return unused;
}

static void* cancels_itself(void* unused) {
  CHECK(pthread_cancel(pthread_self()) == 0);
  sched_yield();
  pthread_testcancel();
  return unused;
}

int main(int argc, char** argv) {
  sem_init(&about_to_wait, 0, 0);
  sem_init(&go, 0, 0);
  if (argc > 1 && strcmp(argv[1], "asynchronous") == 0) {
    pthread_t thread = start_thread(computes, NULL);
    sem_wait(&about_to_wait);
    MUST(pthread_cancel(thread) == 0);
    say("asynchronous: %d", join_thread(thread) == PTHREAD_CANCELED);
    return finish();
  }
  MUST(pthread_key_create(&key, destroy) == 0);
  MUST(pipe(idle) == 0 && pipe(full_pipe) == 0 && mkfifo("fifo", 0600) == 0);
  unix_pair(SOCK_STREAM, socket_pair);
  unix_pair(SOCK_STREAM, full_socket);
  listener = tcp_listener(4);
  joined = start_thread(nothing_ends, NULL);
  waited_for = fork();
  if (waited_for == 0) {
    char byte;
    close(idle[1]);
    _exit((int)read(idle[0], &byte, 1));
  }
  // Which calls: those that wait in the kernel itself, or by default all others.
  int in_kernel = argc > 1 && strcmp(argv[1], "in_kernel") == 0;
  int from = in_kernel ? kKernelKinds : 0, to = in_kernel ? kKinds : kKernelKinds;
  say("-- while it waits");
  every_call(from, to, 1);
  say("-- as soon as it runs");
  every_call(from, to, 0);
  pthread_t thread = start_thread(disabled, NULL);
  sem_wait(&about_to_wait);
  MUST(pthread_cancel(thread) == 0);
  sem_post(&go);
  say("cancelled in the end: %d", join_thread(thread) == PTHREAD_CANCELED);
  pthread_mutex_lock(&mutex);
  thread = start_thread(locks, NULL);
  sem_wait(&about_to_wait);
  MUST(pthread_cancel(thread) == 0);
  settle();
  pthread_mutex_unlock(&mutex);
  say("after the lock: %d", join_thread(thread) == PTHREAD_CANCELED);
  say("itself: %d", in_thread(cancels_itself, NULL) == PTHREAD_CANCELED);
  close(idle[1]);
  join_thread(joined);
  MUST(waitpid(waited_for, NULL, 0) == waited_for);
  return finish();
}
