// SPDX-License-Identifier: Apache-2.0
// A user who may have one to nine kernel threads: every thread that pthread_create grants runs to its end, those that it
// refuses are refused with EAGAIN, and the process ends when main leaves by pthread_exit. How many are granted is not the
// program's affair.
#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>

static int ends[2];

static void* waits(void* argument) {
  char byte;
  MUST(read(ends[0], &byte, 1) == 1);
  sched_yield();
  return argument;
}

static void says_how_it_went(void) { _exit(check_failures ? 1 : 7); }

static void child(rlim_t most) {
  struct rlimit limit = {most, most};
  pthread_t threads[20];
  int made = 0, error = 0;
  alarm(60);
  MUST(setgid(61234) == 0 && setuid(61234) == 0);
  MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
  MUST(pipe(ends) == 0);
  MUST(atexit(says_how_it_went) == 0);
  for (int i = 0; i < 20; i++) {
    int result = pthread_create(&threads[made], NULL, waits, as_pointer(made));
    if (result == 0) made++;
    if (result != 0) error = result;
  }
  CHECK(made == 20 ? error == 0 : error == EAGAIN);
  for (int i = 0; i < made; i++) MUST(write(ends[1], "x", 1) == 1);
  for (int i = 0; i < made; i++) CHECK(as_long(join_thread(threads[i])) == i);
  pthread_exit(NULL);
}

int main(void) {
  for (rlim_t most = 1; most < 10; most++) {
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) child(most);
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  return finish();
}
