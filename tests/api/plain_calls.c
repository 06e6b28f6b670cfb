// SPDX-License-Identifier: Apache-2.0
// Plain calls in a coroutine that is cancelled, or whose deadline passes: each ends with ECANCELED or ETIMEDOUT as it tells its errors, before
// it waits and in the midst of it, and what need not wait goes on. Those that are not ended are not.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int quiet[2], quiet_pipe[2], full[2], full_pipe[2], listening;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static char bytes[4096];

// Each makes its call and says what it ended with; 0: it did not fail.
#define BY_ERRNO(call) ((call) == -1 ? errno : 0)

static int call_read(void) { return BY_ERRNO(read(quiet[0], bytes, 1)); }
static int call_read_pipe(void) { return BY_ERRNO(read(quiet_pipe[0], bytes, 1)); }
static int call_readv(void) {
  struct iovec vector = {bytes, 1};
  return BY_ERRNO(readv(quiet[0], &vector, 1));
}
static int call_recv(void) { return BY_ERRNO(recv(quiet[0], bytes, 1, 0)); }
static int call_recv_all(void) { return BY_ERRNO(recv(quiet[0], bytes, 9, MSG_WAITALL)); }
static int call_recvfrom(void) { return BY_ERRNO(recvfrom(quiet[0], bytes, 1, 0, NULL, NULL)); }
static int call_recvmsg(void) {
  struct iovec vector = {bytes, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  return BY_ERRNO(recvmsg(quiet[0], &message, 0));
}
static int call_write(void) { return BY_ERRNO(write(full[0], bytes, sizeof bytes)); }
static int call_write_pipe(void) { return BY_ERRNO(write(full_pipe[1], bytes, sizeof bytes)); }
static int call_send(void) { return BY_ERRNO(send(full[0], bytes, sizeof bytes, MSG_NOSIGNAL)); }
static int call_sendmsg(void) {
  struct iovec vector = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  return BY_ERRNO(sendmsg(full[0], &message, 0));
}
static int call_accept(void) { return BY_ERRNO(accept(listening, NULL, NULL)); }
static int call_accept4(void) { return BY_ERRNO(accept4(listening, NULL, NULL, SOCK_CLOEXEC)); }
static int call_poll(void) {
  struct pollfd look = {quiet[0], POLLIN, 0};
  return BY_ERRNO(poll(&look, 1, -1));
}
static int call_poll_nothing(void) { return BY_ERRNO(poll(NULL, 0, 60000)); }
static int call_ppoll(void) {
  struct pollfd look = {quiet[0], POLLIN, 0};
  sigset_t none;
  sigemptyset(&none);
  return BY_ERRNO(ppoll(&look, 1, NULL, &none));
}
static int call_select(void) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(quiet[0], &set);
  return BY_ERRNO(select(quiet[0] + 1, &set, NULL, NULL, NULL));
}
static int call_pselect(void) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(quiet_pipe[0], &set);
  struct timespec limit = {60, 0};
  return BY_ERRNO(pselect(quiet_pipe[0] + 1, &set, NULL, NULL, &limit, NULL));
}
static int call_nanosleep(void) {
  struct timespec time = {60, 0}, left = {0, 0};
  int error = BY_ERRNO(nanosleep(&time, &left));
  CHECK(left.tv_sec >= 50);
  return error;
}
static int call_clock_nanosleep(void) {
  struct timespec time = {60, 0};
  return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}
static int call_usleep(void) { return BY_ERRNO(usleep(60000000)); }
static int call_sleep(void) {
  errno = 0;
  unsigned left = sleep(60);
  CHECK(left >= 50);
  return errno;
}
static int call_pause(void) { return BY_ERRNO(pause()); }
static int call_cond_wait(void) {
  MUST(pthread_mutex_lock(&mutex) == 0);
  int error = pthread_cond_wait(&cond, &mutex);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  return error;
}
static int call_cond_timedwait(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  MUST(pthread_mutex_lock(&mutex) == 0);
  int error = pthread_cond_timedwait(&cond, &mutex, &until);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  return error;
}
static int call_sem_wait(void) { return BY_ERRNO(sem_wait(&sem)); }
static int call_sem_timedwait(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  return BY_ERRNO(sem_timedwait(&sem, &until));
}
static pthread_t parked_handle;
static int call_join(void) { return pthread_join(parked_handle, NULL); }
static int call_stdio(void) {
  FILE* stream = fdopen(dup(quiet[0]), "r");
  MUST(stream != NULL);
  errno = 0;
  EQUAL(fgetc(stream), EOF);
  int error = errno;
  CHECK(ferror(stream));
  fclose(stream);
  return error;
}

static const struct plain {
  const char* name;
  int (*call)(void);
  int in_lot;  // waits in the parking lot: ended in a pinned coroutine too
} kCalls[] = {
#define CALL(name, in_lot) \
  { #name, call_##name, in_lot }
    CALL(read, 0),     CALL(read_pipe, 0),     CALL(readv, 0),   CALL(recv, 0),       CALL(recv_all, 0),
    CALL(recvfrom, 0), CALL(recvmsg, 0),       CALL(write, 0),   CALL(write_pipe, 0), CALL(send, 0),
    CALL(sendmsg, 0),  CALL(accept, 0),        CALL(accept4, 0), CALL(poll, 0),       CALL(poll_nothing, 0),
    CALL(ppoll, 0),    CALL(select, 0),        CALL(pselect, 0), CALL(nanosleep, 0),  CALL(clock_nanosleep, 0),
    CALL(usleep, 0),   CALL(sleep, 0),         CALL(pause, 0),   CALL(cond_wait, 1),  CALL(cond_timedwait, 1),
    CALL(sem_wait, 1), CALL(sem_timedwait, 1), CALL(join, 1),    CALL(stdio, 0),
};
enum { kCount = sizeof kCalls / sizeof *kCalls };

static void* make_call(void* call) {
  const struct plain* plain = call;
  return (void*)(intptr_t)plain->call();
}
static void* make_call_pinned(void* call) {
  pin_me();
  return make_call(call);
}
static int call_limited(void* call) { return ((const struct plain*)call)->call(); }
static void* make_call_limited(void* call) {
  int error = co_with_deadline(5 * kMillisecond, call_limited, call);
  // A limit that has passed before.
  EQUAL(co_with_deadline(0, call_limited, call), error);
  EQUAL(co_canceled(), 0);
  return (void*)(intptr_t)error;
}
static void* make_call_limited_pinned(void* call) {
  pin_me();
  return make_call_limited(call);
}

static void says(const struct plain* plain, void* result, int error) {
  if ((intptr_t)result != error) fprintf(stderr, "of %s:\n", plain->name);
  EQUAL((intptr_t)result, error);
}

static void each_is_ended(void) {
  for (int i = 0; i < kCount; i++) {
    void* plain = (void*)&kCalls[i];
    for (int pinned = 0; pinned <= kCalls[i].in_lot; pinned++) {
      for (int early = 0; early < 2; early++) {
        co_t calls = begin(pinned ? make_call_pinned : make_call, plain);
        if (!early) settle();
        EQUAL(co_cancel(calls), 0);
        says(plain, end(calls), ECANCELED);
      }
      says(plain, end(begin(pinned ? make_call_limited_pinned : make_call_limited, plain)), ETIMEDOUT);
    }
  }
}

// All of them at once, by one cancellation each.
static void all_are_ended(void) {
  co_t calls[kCount];
  for (int i = 0; i < kCount; i++) calls[i] = kCalls[i].call == call_join ? 0 : begin(make_call, (void*)&kCalls[i]);
  settle();
  for (int i = 0; i < kCount; i++)
    if (calls[i]) EQUAL(co_cancel(calls[i]), 0);
  for (int i = 0; i < kCount; i++)
    if (calls[i]) says(&kCalls[i], end(calls[i]), ECANCELED);
}

// What need not wait goes on.
static void* last_words(void* unused) {
  (void)unused;
  int pair[2];
  EQUAL(co_cancel(co_self()), 0);
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  EQUAL(write(pair[0], "bye", 3), 3);
  EQUAL(read(pair[1], bytes, 3), 3);
  FAILS(read(pair[1], bytes, 3), ECANCELED);
  struct pollfd look = {pair[0], POLLOUT, 0};
  EQUAL(poll(&look, 1, -1), 1);
  EQUAL(poll(&look, 1, 0), 1);
  EQUAL(shutdown(pair[0], SHUT_WR), 0);
  EQUAL(read(pair[1], bytes, 3), 0);
  EQUAL(close(pair[0]), 0);
  EQUAL(close(pair[1]), 0);
  EQUAL(pthread_mutex_lock(&mutex), 0);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  EQUAL(sem_post(&sem), 0);
  EQUAL(sem_wait(&sem), 0);
  EQUAL(usleep(0), 0);
  // Threads and coroutines are made, and the ones that have ended are joined.
  co_t made = begin(make_call, (void*)&kCalls[0]);
  EQUAL(co_cancel(made), 0);
  EQUAL(co_detach(made), 0);
  return NULL;
}

// A part that was moved is told, not the end.
static void* partly(void* pair) {
  static char much[1 << 20];
  ssize_t sent = send(((int*)pair)[0], much, sizeof much, 0);
  CHECK(sent > 0 && sent < (ssize_t)sizeof much);
  FAILS(send(((int*)pair)[0], much, sizeof much, 0), ECANCELED);
  return NULL;
}
static void told_in_part(void) {
  int pair[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  co_t sends = begin(partly, pair);
  settle();
  EQUAL(co_cancel(sends), 0);
  end(sends);
  close(pair[0]);
  close(pair[1]);
}

// A connect that has to wait: a unix one's is a call of the kernel's, one to a listener whose queue is full waits in the poller.
static int call_connect(void) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  MUST(getsockname(listening, (struct sockaddr*)&address, &size) == 0);
  int error = BY_ERRNO(connect(fd, (struct sockaddr*)&address, size));
  close(fd);
  return error;
}
static void connects(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int kept = listening;
  listening = socket(AF_INET, SOCK_STREAM, 0);
  MUST(bind(listening, (struct sockaddr*)&address, size) == 0 && listen(listening, 0) == 0);
  MUST(getsockname(listening, (struct sockaddr*)&address, &size) == 0);
  int waiting[4];
  for (int i = 0; i < 4; i++) {
    waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(waiting[i], (struct sockaddr*)&address, size);
  }
  static const struct plain kConnect = {"connect", call_connect, 0};
  for (int early = 0; early < 2; early++) {
    co_t calls = begin(make_call, (void*)&kConnect);
    if (!early) settle();
    EQUAL(co_cancel(calls), 0);
    says(&kConnect, end(calls), ECANCELED);
  }
  says(&kConnect, end(begin(make_call_limited, (void*)&kConnect)), ETIMEDOUT);
  for (int i = 0; i < 4; i++) close(waiting[i]);
  close(listening);
  listening = kept;
}

// A condition variable says it once; who does not listen waits for its signal, does not spin, and lets others have the mutex.
static int happened, rounds;
static void* wait_for_it(void* unused) {
  (void)unused;
  MUST(pthread_mutex_lock(&mutex) == 0);
  while (!happened) {
    rounds++;
    pthread_cond_wait(&cond, &mutex);
  }
  MUST(pthread_mutex_unlock(&mutex) == 0);
  EQUAL(co_sleep(kLong), ECANCELED);
  return NULL;
}
static void not_listened_to(void) {
  for (int early = 0; early < 2; early++) {
    happened = rounds = 0;
    co_t waits = begin(wait_for_it, NULL);
    if (!early) settle();
    EQUAL(co_cancel(waits), 0);
    settle();
    MUST(pthread_mutex_lock(&mutex) == 0);
    happened = 1;
    pthread_cond_signal(&cond);
    MUST(pthread_mutex_unlock(&mutex) == 0);
    end(waits);
    CHECK(rounds <= 3);
  }
}

// Not ended: locks, and calls that wait in the kernel itself.
static void* lock_held(void* unused) {
  (void)unused;
  EQUAL(co_cancel(co_self()), 0);
  int error = pthread_mutex_lock(&mutex);
  EQUAL(pthread_mutex_unlock(&mutex), 0);
  return (void*)(intptr_t)error;
}
static void* look_up(void* unused) {
  (void)unused;
  struct addrinfo* found = NULL;
  EQUAL(co_cancel(co_self()), 0);
  int error = getaddrinfo("127.0.0.1", "80", NULL, &found);
  CHECK(error || found);
  if (found) freeaddrinfo(found);
  error = getaddrinfo("localhost", NULL, NULL, &found);
  if (error) fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(error));
  EQUAL(error, 0);
  if (!error) freeaddrinfo(found);
  return NULL;
}
static void not_ended(void) {
  MUST(pthread_mutex_lock(&mutex) == 0);
  co_t locks = begin(lock_held, NULL);
  settle();
  MUST(pthread_mutex_unlock(&mutex) == 0);
  EQUAL((intptr_t)end(locks), 0);
  end(begin(look_up, NULL));
}

static void* park_for_good(void* ready) {
  parked_handle = pthread_self();
  atomic_store((atomic_int*)ready, 1);
  EQUAL(co_suspend(), 0);
  return NULL;
}

int main(void) {
  atomic_int ready = 0;
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, quiet) == 0 && pipe(quiet_pipe) == 0);
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0 && pipe(full_pipe) == 0);
  MUST(sem_init(&sem, 0, 0) == 0);
  while (send(full[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
  }
  MUST(fcntl(full_pipe[1], F_SETFL, O_NONBLOCK) == 0);
  while (write(full_pipe[1], bytes, sizeof bytes) > 0) {
  }
  MUST(fcntl(full_pipe[1], F_SETFL, 0) == 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listening = socket(AF_INET, SOCK_STREAM, 0);
  MUST(bind(listening, (struct sockaddr*)&address, sizeof address) == 0 && listen(listening, 4) == 0);
  co_t parked = begin(park_for_good, &ready);
  while (!atomic_load(&ready)) co_yield ();

  each_is_ended();
  all_are_ended();
  end(begin(last_words, NULL));
  told_in_part();
  connects();
  not_listened_to();
  not_ended();
  EQUAL(co_resume(parked), 0);
  end(parked);
  return finish();
}
