// SPDX-License-Identifier: Apache-2.0
// A library with static TLS loaded while threads exist: each finds the image in its own copy, before the library's
// constructor is over; also while threads are made and end, and in forked children.
#include "check.h"

#include <dlfcn.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { kThreads = 30, kRounds = 40 };

struct AskThreads {
  int waiting;
  sem_t ask;
  sem_t answered;
  long (*take)(void);
};
extern struct AskThreads ask_threads;
struct AskThreads ask_threads;

static const char* path;
static atomic_int over;

static void* asked_once_a_round(void* rounds) {
  for (long round = 0; round < as_long(rounds); round++) {
    sem_wait(&ask_threads.ask);
    CHECK(ask_threads.take() == 1001);
    sem_post(&ask_threads.answered);
    sem_wait(&ask_threads.ask);
    CHECK(ask_threads.take() == 1002);
    sem_post(&ask_threads.answered);
  }
  return NULL;
}

static void load_once(int threads) {
  ask_threads.waiting = threads;
  void* library = dlopen(path, RTLD_NOW);
  MUST(library != NULL);
  // The constructor's questions have been answered; the same threads or others now.
  for (int i = 0; i < threads; i++) sem_post(&ask_threads.ask);
  for (int i = 0; i < threads; i++) sem_wait(&ask_threads.answered);
  ask_threads.waiting = 0;
  CHECK(dlclose(library) == 0);
}

// One question a thread and a posting at a time, so that every thread gets one of each round's two.
static void* asked_in_turn(void* turn) {
  sem_t* mine = turn;
  sem_wait(mine);
  CHECK(ask_threads.take() == 1001);
  sem_post(&ask_threads.answered);
  return NULL;
}

static void waiting_threads(void) {
  pthread_t threads[kThreads];
  sem_t turns[kThreads];
  for (int i = 0; i < kThreads; i++) {
    sem_init(&turns[i], 0, 0);
    threads[i] = start_thread(asked_in_turn, &turns[i]);
  }
  void* library = dlopen(path, RTLD_NOW);
  MUST(library != NULL);
  for (int i = 0; i < kThreads; i++) sem_post(&turns[i]);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  for (int i = 0; i < kThreads; i++) {
    threads[i] = start_thread(asked_in_turn, &turns[i]);
    sem_post(&turns[i]);
  }
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  CHECK(dlclose(library) == 0);
  for (int i = 0; i < 2 * kThreads; i++) sem_wait(&ask_threads.answered);
  say("threads that waited");
}

static void within_the_constructor(void) {
  pthread_t thread = start_thread(asked_once_a_round, as_pointer(kRounds));
  for (int i = 0; i < kRounds; i++) load_once(1);
  join_thread(thread);
  say("within the constructor");
}

static void* nothing(void* unused) { return unused; }

static void* makes_threads(void* kind) {
  static char stacks[4][64 << 10] __attribute__((aligned(4096)));
  int own_stack = (int)as_long(kind);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (own_stack >= 0) pthread_attr_setstack(&attributes, stacks[own_stack], sizeof stacks[own_stack]);
  while (!atomic_load(&over)) {
    pthread_t thread;
    MUST(pthread_create(&thread, &attributes, nothing, NULL) == 0);
    join_thread(thread);
  }
  return NULL;
}

static void* asked_in_child(void* unused) {
  CHECK(ask_threads.take() == 1001);
  return unused;
}

// The child's one thread finds what its thread had, and the image where the library is loaded anew.
static void* forks(void* library) {
  CHECK(ask_threads.take() == 1001);
  pid_t child = fork();
  if (child == 0) {
    CHECK(ask_threads.take() == 1002);
    in_thread(asked_in_child, NULL);
    CHECK(dlclose(library) == 0);
    library = dlopen(path, RTLD_NOW);
    MUST(library != NULL);
    CHECK(ask_threads.take() == 1001);
    in_thread(asked_in_child, NULL);
    _exit(check_failures);
  }
  int status;
  MUST(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return NULL;
}

static void in_children(void) {
  void* library = dlopen(path, RTLD_NOW);
  MUST(library != NULL);
  for (int i = 0; i < 10; i++) in_thread(forks, library);
  CHECK(dlclose(library) == 0);
  say("in children");
}

static void meanwhile(void) {
  pthread_t others[] = {start_thread(makes_threads, as_pointer(-1)), start_thread(makes_threads, as_pointer(0)),
                        start_thread(makes_threads, as_pointer(1))};
  pthread_t asked = start_thread(asked_once_a_round, as_pointer(4 * kRounds));
  for (int i = 0; i < 4 * kRounds; i++) load_once(1);
  join_thread(asked);
  atomic_store(&over, 1);
  for (int i = 0; i < 3; i++) join_thread(others[i]);
  say("while threads come and go");
}

int main(int argc, char** argv) {
  MUST(argc > 1);
  path = argv[1];
  sem_init(&ask_threads.ask, 0, 0);
  sem_init(&ask_threads.answered, 0, 0);
  in_thread(nothing, NULL);
  waiting_threads();
  within_the_constructor();
  meanwhile();
  in_children();
  return finish();
}
