// SPDX-License-Identifier: Apache-2.0
// fork in several threads while others come and go: whatever lock of the C library's another thread is about to hold, a
// child must be able to make threads of its own, join them and fork again.
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static int stop;

static void* nothing(void* argument) { return argument; }

static void* comes_and_goes(void* unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) in_thread(nothing, NULL);
  return unused;
}

static void* uses_a_pipe(void* argument) {
  int ends[2];
  char byte = 0;
  MUST(pipe(ends) == 0);
  MUST(write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x');
  close(ends[0]);
  close(ends[1]);
  return argument;
}

static void make_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) threads[i] = start_thread(uses_a_pipe, as_pointer(i));
  for (int i = 0; i < 4; i++) CHECK(as_long(join_thread(threads[i])) == i);
}

static void fork_and_wait(int depth) {
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) {
    alarm(60);
    make_threads();
    if (depth > 0) fork_and_wait(depth - 1);
    _exit(check_failures ? 1 : 3);
  }
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void* forks(void* unused) {
  for (int i = 0; i < 60; i++) fork_and_wait(i % 8 == 0);
  return unused;
}

int main(void) {
  pthread_t busy[3], forking[4];
  for (int i = 0; i < 3; i++) busy[i] = start_thread(comes_and_goes, NULL);
  for (int i = 0; i < 4; i++) forking[i] = start_thread(forks, NULL);
  for (int i = 0; i < 4; i++) join_thread(forking[i]);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 3; i++) join_thread(busy[i]);
  return finish();
}
