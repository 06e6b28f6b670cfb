// SPDX-License-Identifier: Apache-2.0
// Cancellation of a thread that is in a call of libc's which no preloaded library sees: waiting there, and before it comes to wait. And
// an asynchronous one of a thread that waits for a lock, which POSIX leaves undefined and glibc acts on. The cleanup handlers make
// cancellation points of their own, and are not left at them.
#include "check.h"

#include <aio.h>
#include <semaphore.h>
#include <signal.h>

static int idle[2];
static sem_t ready;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t written = PTHREAD_RWLOCK_INITIALIZER;

static void cleanup(void* what) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
  pthread_testcancel();
  say("cleanup of %s", (const char*)what);
}

static void* suspend(void* waits) {
  static char byte[2];
  struct aiocb request = {
      .aio_fildes = idle[0], .aio_buf = byte, .aio_nbytes = 1, .aio_sigevent.sigev_notify = SIGEV_NONE};
  const struct aiocb* list[] = {&request};
  pthread_cleanup_push(cleanup, "aio_suspend");
  MUST(aio_read(&request) == 0);
  if (!waits) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    sem_post(&ready);
    settle();
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  } else {
    sem_post(&ready);
  }
  aio_suspend(list, 1, NULL);
  pthread_cleanup_pop(0);
  return NULL;
}

static void* lock(void* which) {
  pthread_cleanup_push(cleanup, (char*)which);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  sem_post(&ready);
  if (strcmp(which, "mutex") == 0)
    pthread_mutex_lock(&held);
  else
    pthread_rwlock_rdlock(&written);
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel_one(thread_start start, void* argument, int at_rest) {
  pthread_t thread = start_thread(start, argument);
  MUST(sem_wait(&ready) == 0);
  if (at_rest) settle();
  CHECK(pthread_cancel(thread) == 0);
  CHECK(join_thread(thread) == PTHREAD_CANCELED);
}

int main(void) {
  MUST(pipe(idle) == 0 && sem_init(&ready, 0, 0) == 0);
  cancel_one(suspend, "waits", 1);
  // The request that the first one left is still there: both read the same pipe.
  cancel_one(suspend, NULL, 0);
  MUST(pthread_mutex_lock(&held) == 0 && pthread_rwlock_wrlock(&written) == 0);
  for (int at_rest = 0; at_rest < 2; at_rest++) {
    cancel_one(lock, "mutex", at_rest);
    cancel_one(lock, "rwlock", at_rest);
  }
  return finish();
}
