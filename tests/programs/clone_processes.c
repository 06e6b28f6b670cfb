// SPDX-License-Identifier: Apache-2.0
// Processes made by clone, with memory, descriptors or directory in common or not, as a function and as a system call, from a thread and
// from main, while others wait: each child's mask, its own threads, and that the parent's go on as before.
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { kOthers = 20 };

static int ends[2];
static sem_t go;
static char child_stack[256 << 10] __attribute__((aligned(16)));

static void* others(void* argument) {
  char byte;
  if (as_long(argument) % 2)
    sem_wait(&go);
  else
    MUST(read(ends[0], &byte, 1) == 1);
  return argument;
}

static void* adds(void* argument) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
  return as_pointer(as_long(argument) + 1);
}

static int blocked(void) {
  sigset_t set;
  int count = 0;
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  for (int number = 1; number < 65; number++) count += sigismember(&set, number) == 1;
  return count;
}

// Without the memory of the parent anything goes.
static int lives(void* argument) {
  pthread_t threads[5];
  long sum = 0;
  int own[2];
  char byte;
  MUST(pipe(own) == 0);
  for (long i = 0; i < 5; i++) threads[i] = start_thread(adds, as_pointer(i));
  for (int i = 0; i < 5; i++) sum += as_long(join_thread(threads[i]));
  MUST(write(own[1], "x", 1) == 1 && read(own[0], &byte, 1) == 1);
  close(own[0]);
  close(own[1]);
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) _exit((int)(intptr_t)in_thread(adds, as_pointer(20)));
  MUST(waitpid(pid, &status, 0) == pid);
  say("%s: mask %d, threads %ld, its child %d", (const char*)argument, blocked(), sum, WEXITSTATUS(status));
  return check_failures + 7;
}

// With it, little: as after vfork.
static int looks(void* argument) {
  say("%s: mask %d", (const char*)argument, blocked());
  return 8;
}

static int executes(void* unused) {
  (void)unused;
  execl("/bin/sh", "sh", "-c", "exit 9", (char*)NULL);
  return 99;
}

static void await(pid_t pid) {
  int status = 0;
  MUST(pid > 0);
  CHECK(waitpid(pid, &status, 0) == pid);
  say("ended with %d, by signal %d", WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void parent_goes_on(void) {
  pthread_t threads[4];
  long sum = 0;
  for (long i = 0; i < 4; i++) threads[i] = start_thread(adds, as_pointer(i));
  for (int i = 0; i < 4; i++) sum += as_long(join_thread(threads[i]));
  CHECK(sum == 10);
}

static void make(const char* name, int (*start)(void*), int flags) {
  await(clone(start, child_stack + sizeof child_stack, flags | SIGCHLD, (void*)name));
  parent_goes_on();
}

static void* makes(void* unused) {
  make("a process", lives, 0);
  make("with descriptors in common", lives, CLONE_FILES);
  make("with a directory in common", lives, CLONE_FS);
  make("as by vfork", looks, CLONE_VM | CLONE_VFORK);
  make("with signal handlers in common", looks, CLONE_VM | CLONE_VFORK | CLONE_SIGHAND);
  make("another program", executes, CLONE_VM | CLONE_VFORK);
  for (int round = 0; round < 2; round++) {
    long pid = syscall(SYS_clone, round ? SIGCHLD | CLONE_FILES : SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) _exit(lives((void*)"by the system call"));
    await((pid_t)pid);
    parent_goes_on();
  }
  SHOW(clone(looks, child_stack + sizeof child_stack, CLONE_THREAD | CLONE_VFORK, NULL));
  SHOW(clone(looks, NULL, SIGCHLD, NULL));
  say("mask %d", blocked());
  return unused;
}

static void* makes_beside(void* unused) {
  for (int round = 0; round < 3; round++) {
    make("beside its parent", looks, CLONE_VM);
    make("with all in common", looks, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND);
    make("another program", executes, CLONE_VM);
  }
  return unused;
}

static void* makes_with_mask(void* argument) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  return argument ? makes_beside(NULL) : makes(NULL);
}

int main(int argc, char** argv) {
  pthread_t threads[kOthers];
  void* beside = argc > 1 ? argv[1] : NULL;
  sem_init(&go, 0, 0);
  MUST(pipe(ends) == 0);
  for (long i = 0; i < kOthers; i++) threads[i] = start_thread(others, as_pointer(i));
  settle();
  say("-- by a thread");
  in_thread(makes_with_mask, beside);
  say("-- by main");
  beside ? makes_beside(NULL) : makes(NULL);
  for (int i = 0; i < kOthers / 2; i++) {
    sem_post(&go);
    MUST(write(ends[1], "x", 1) == 1);
  }
  for (int i = 0; i < kOthers; i++) CHECK(as_long(join_thread(threads[i])) == i);
  return finish();
}
