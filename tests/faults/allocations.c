// SPDX-License-Identifier: Apache-2.0
// Wants memory of every kind that a threaded program makes weft allocate: many threads, many deadlines, a poll of many
// descriptors, queued signals, a timer for one thread. It survives each refusal, and ends with the same line.
#include "../programs/check.h"

#include <poll.h>
#include <signal.h>

enum { kThreads = 2400, kDescriptors = 400, kSignals = 50 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting, over;
static int refusals;

static void refused(const char* what, int error) {
  CHECK(error == EAGAIN || error == ENOMEM);
  if (refusals++ == 0) fprintf(stderr, "%s: %s\n", what, name_of_errno(error));
}

static void* waits_for_the_end(void* argument) {
  struct timespec until = after_ms(CLOCK_REALTIME, 60000);
  pthread_mutex_lock(&mutex);
  waiting++;
  pthread_cond_broadcast(&changed);
  while (!over) CHECK(pthread_cond_timedwait(&changed, &mutex, &until) == 0);
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void* polls(void* unused) {
  int ends[2];
  struct pollfd fds[kDescriptors];
  MUST(pipe(ends) == 0);
  for (int i = 0; i < kDescriptors; i++) fds[i] = (struct pollfd){ends[0], POLLIN, 0};
  int found = poll(fds, kDescriptors, 5);
  if (found < 0) refused("poll", errno);
  MUST(write(ends[1], "x", 1) == 1);
  found = poll(fds, kDescriptors, -1);
  if (found < 0)
    refused("poll", errno);
  else
    CHECK(found == kDescriptors);
  close(ends[0]);
  close(ends[1]);
  return unused;
}

static int handled;
static void count(int signal) {
  (void)signal;
  __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void* is_signalled(void* unused) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  int sent = 0;
  for (int i = 0; i < kSignals; i++) {
    int error = pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = i});
    if (error)
      refused("pthread_sigqueue", error);
    else
      sent++;
  }
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  sched_yield();
  CHECK(__atomic_load_n(&handled, __ATOMIC_RELAXED) == sent);
  return unused;
}

static void* sets_a_timer(void* unused) {
  struct sigevent event;
  timer_t timer;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN;
  event._sigev_un._tid = gettid();
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
    refused("timer_create", errno);
  else
    CHECK(timer_delete(timer) == 0);
  return unused;
}

static void in_thread_if_there_is_one(thread_start start) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, start, NULL);
  if (error)
    refused("pthread_create", error);
  else
    pthread_join(thread, NULL);
}

int main(void) {
  static pthread_t threads[kThreads];
  pthread_attr_t attributes;
  MUST(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
  signal(SIGRTMIN, count);
  int made = 0;
  for (int i = 0; i < kThreads; i++) {
    int error = pthread_create(&threads[made], &attributes, waits_for_the_end, as_pointer(made));
    if (error)
      refused("pthread_create", error);
    else
      made++;
  }
  in_thread_if_there_is_one(polls);
  in_thread_if_there_is_one(is_signalled);
  in_thread_if_there_is_one(sets_a_timer);
  pthread_mutex_lock(&mutex);
  while (waiting < made) pthread_cond_wait(&changed, &mutex);
  over = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < made; i++) CHECK(as_long(join_thread(threads[i])) == i);
  CHECK(made >= kThreads / 2);
  return finish();
}
