// SPDX-License-Identifier: Apache-2.0
// A cancelled thread is unwound as by an exception: destructors run from the innermost scope outwards, catch (...) sees it and throws
// on, thread_local objects go last. Of a thread that waits, is about to run, runs, is in a call of the kernel's, or has not begun.
#include "check.h"

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#include <condition_variable>
#include <mutex>
#include <string>

static std::string order;
static int idle[2];
static sem_t about_to, go;
static pid_t child;
static std::mutex mutex;
static std::condition_variable condition;

struct Object {
  const char* name;
  explicit Object(const char* name_) : name(name_) {}
  ~Object() { order += name; }
};

struct Local {
  bool used = false;
  ~Local() { order += used ? " local" : ""; }
};
static thread_local Local local;

static void waits() {
  char byte;
  sem_post(&about_to);
  read(idle[0], &byte, 1);
}
static void waits_for_condition() {
  std::unique_lock<std::mutex> lock(mutex);
  Object within(" locked");
  sem_post(&about_to);
  for (;;) condition.wait(lock);
}
static void becomes_ready() {
  sem_post(&about_to);
  sem_wait(&go);
  for (;;) pthread_testcancel();
}
static void runs() {
  sem_post(&about_to);
  for (;;) pthread_testcancel();
}
static void yields() {
  sem_post(&about_to);
  for (;;) {
    sched_yield();
    pthread_testcancel();
  }
}
static void in_the_kernel() {
  sem_post(&about_to);
  waitpid(child, nullptr, 0);
}
static void has_not_begun() {
  for (;;) pthread_testcancel();
}

static void frame(void (*call)()) {
  Object inner(" inner");
  try {
    Object tried(" tried");
    call();
  } catch (...) {
    order += " caught";
    throw;
  }
  order += " came back";
}

static void* thread(void* call) {
  local.used = true;
  Object outer(" outer");
  frame(reinterpret_cast<void (*)()>(call));
  return nullptr;
}

static const struct {
  const char* name;
  void (*call)();
} calls[] = {{"waits", waits},
             {"waits for a condition", waits_for_condition},
             {"is ready", becomes_ready},
             {"runs", runs},
             {"yields", yields},
             {"is in the kernel", in_the_kernel},
             {"has not begun", has_not_begun}};

int main() {
  MUST(pipe(idle) == 0 && sem_init(&about_to, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
  MUST((child = fork()) >= 0);
  if (child == 0)
    for (;;) pause();
  for (auto& one : calls) {
    for (int settled = 0; settled < 2; settled++) {
      order.clear();
      bool begins = one.call != has_not_begun;
      pthread_t cancelled = start_thread(thread, reinterpret_cast<void*>(one.call));
      if (begins) MUST(sem_wait(&about_to) == 0);
      if (settled && begins) settle();
      if (one.call == becomes_ready) MUST(sem_post(&go) == 0);
      CHECK(pthread_cancel(cancelled) == 0);
      bool ended_so = join_thread(cancelled) == PTHREAD_CANCELED;
      say("one that %s: cancelled %d,%s", one.name, ended_so, order.c_str());
      sem_destroy(&go);
      MUST(sem_init(&go, 0, 0) == 0);
      CHECK(mutex.try_lock());
      mutex.unlock();
    }
  }
  MUST(kill(child, SIGKILL) == 0 && waitpid(child, nullptr, 0) == child);
  return finish();
}
