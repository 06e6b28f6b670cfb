// SPDX-License-Identifier: Apache-2.0
// How the library came into the process: linked, and its threads are kernel threads; linked and preloaded as well, and they are coroutines;
// disabled, and there are no coroutines, but locks and channels between threads.
//
// usage: linked threads|preloaded|disabled
#include <pthread.h>
#include <signal.h>
#include <threads.h>

#include "check.h"

static int adopted;
static _Thread_local int own;

static void* look(void* unused) {
  (void)unused;
  EQUAL(own, 0);
  own = 1;
  EQUAL(co_self() != 0, adopted);
  EQUAL(co_resume(co_self()), adopted ? 0 : ESRCH);
  EQUAL(co_suspend(), adopted ? 0 : EPERM);
  return (void*)(uintptr_t)co_self();
}
static int look_c11(void* unused) { return look(unused) != NULL; }

static void make_threads(void) {
  pthread_t thread;
  thrd_t c11;
  void* result = NULL;
  int status = 9;
  MUST(pthread_create(&thread, NULL, look, NULL) == 0);
  MUST(pthread_join(thread, &result) == 0);
  EQUAL(result != NULL, adopted);
  MUST(thrd_create(&c11, look_c11, NULL) == thrd_success);
  MUST(thrd_join(c11, &status) == thrd_success);
  EQUAL(status, adopted);
}

// Of a coroutine they inherit what it is called and which signals it blocks.
static void* inherits(void* unused) {
  (void)unused;
  char name[16];
  sigset_t mask;
  MUST(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  CHECK(!strcmp(name, "creator"));
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
  CHECK(sigismember(&mask, SIGUSR1));
  CHECK(!sigismember(&mask, SIGUSR2));
  return NULL;
}
static void make_heirs(void) {
  pthread_t thread;
  sigset_t mask;
  MUST(co_self() != 0);
  MUST(pthread_setname_np(pthread_self(), "creator") == 0);
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &mask, NULL) == 0);
  MUST(pthread_create(&thread, NULL, inherits, NULL) == 0);
  MUST(pthread_join(thread, NULL) == 0);
}

// One lock, one condition and one channel for threads and coroutines.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long turn;
static void* take_turns(void* number) {
  for (int i = 0; i < 200; i++) {
    MUST(pthread_mutex_lock(&mutex) == 0);
    while (turn % 2 != (intptr_t)number) MUST(pthread_cond_wait(&cond, &mutex) == 0);
    turn++;
    pthread_cond_broadcast(&cond);
    MUST(pthread_mutex_unlock(&mutex) == 0);
  }
  return NULL;
}
static void shared_locks(void) {
  pthread_t thread;
  turn = 0;
  MUST(pthread_create(&thread, NULL, take_turns, (void*)0) == 0);
  end(begin(take_turns, (void*)1));
  MUST(pthread_join(thread, NULL) == 0);
  EQUAL(turn, 400);
}

static co_chan_t* chan;
static co_mutex_t own_mutex = CO_MUTEX_INIT;
static co_sem_t own_sem = CO_SEM_INIT(0);
static void* send_all(void* unused) {
  (void)unused;
  for (long i = 0; i < 1000; i++) {
    EQUAL(co_chan_send(chan, &i), 0);
    EQUAL(co_mutex_lock(&own_mutex), 0);
    turn++;
    EQUAL(co_mutex_unlock(&own_mutex), 0);
  }
  EQUAL(co_sem_post(&own_sem), 0);
  return NULL;
}
static int child(void* unused) {
  (void)unused;
  return 0;
}
static void* same(void* value) { return value; }
static void disabled(void) {
  co_t made = 0;
  void* result = NULL;
  co_scope_t scope;
  pthread_t thread;
  EQUAL(co_spawn(&made, look, NULL, NULL), ENOSYS);
  EQUAL(made, 0);
  EQUAL(co_scope_init(&scope), 0);
  EQUAL(co_scope_spawn(&scope, child, NULL, NULL), ENOSYS);
  EQUAL(co_scope_wait(&scope), 0);
  EQUAL(co_join(1, NULL), ESRCH);
  EQUAL(co_self(), 0);
  EQUAL(co_yield (), 0);
  EQUAL(co_offload(same, &made, &result), 0);
  CHECK(result == &made);
  EQUAL(co_sleep(kMillisecond), 0);
  MUST(co_chan_create(&chan, sizeof(long), 1) == 0);
  turn = 0;
  MUST(pthread_create(&thread, NULL, send_all, NULL) == 0);
  for (long i = 0, value; i < 1000; i++) {
    EQUAL(co_chan_recv(chan, &value), 0);
    EQUAL(value, i);
    EQUAL(co_mutex_lock(&own_mutex), 0);
    turn++;
    EQUAL(co_mutex_unlock(&own_mutex), 0);
  }
  EQUAL(co_sem_wait(&own_sem), 0);
  EQUAL(turn, 2000);
  MUST(pthread_join(thread, NULL) == 0);
  co_select_case_t time = {.kind = CO_SELECT_TIME, .time = co_now() + kMillisecond};
  size_t chosen = 9;
  EQUAL(co_select(&time, 1, &chosen), 0);
  EQUAL(chosen, 0);
  co_select_case_t output = {.kind = CO_SELECT_WRITE, .fd = 1};
  EQUAL(co_select(&output, 1, &chosen), ENOSYS);
  co_chan_destroy(chan);
}

int main(int count, char** arguments) {
  MUST(count == 2);
  adopted = !strcmp(arguments[1], "preloaded");
  if (!strcmp(arguments[1], "disabled")) {
    disabled();
    return finish();
  }
  MUST(strcmp(arguments[1], "threads") == 0 || adopted);
  make_threads();
  end(begin(same, NULL));
  make_threads();
  in_coroutine(make_threads);
  in_coroutine(make_heirs);
  in_pinned(make_heirs);
  shared_locks();
  in_coroutine(shared_locks);
  return finish();
}
