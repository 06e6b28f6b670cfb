// SPDX-License-Identifier: Apache-2.0
// A process that may open next to nothing, from its start or from the middle of its life on: its threads run, and its own calls say
// EMFILE where they natively do.
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void limit_to(rlim_t value) {
  struct rlimit limit = {value, value};
  MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

// Whatever writes something down at the end of a process would need a descriptor for it.
static void end(void) { kill(getpid(), SIGKILL); }

static int ends[2];

static void* reads(void* argument) {
  char byte;
  MUST(read(ends[0], &byte, 1) == 1);
  return argument;
}

static void talk(void) {
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) threads[i] = start_thread(reads, as_pointer(i));
  for (int i = 0; i < 10; i++) MUST(write(ends[1], "x", 1) == 1);
  for (int i = 0; i < 10; i++) CHECK(as_long(join_thread(threads[i])) == i);
}

static void* opens(void* argument) {
  int opened[64], count = 0;
  while (count < 64 && (opened[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) count++;
  int error = errno;
  *(int*)argument = count;
  for (int i = 0; i < count; i++) close(opened[i]);
  say("opened some, then %s", name_of_errno(count < 64 ? error : 0));
  return argument;
}

// What may be opened is not counted: weft's own descriptors are among those open where the limit is below what it began with.
static void child(rlim_t most) {
  int count = 0;
  limit_to(most);
  if (pipe(ends)) {
    say("%d: no pipe: %s", (int)most, name_of_errno(errno));
    end();
  }
  talk();
  in_thread(opens, &count);
  say("%d: %s", (int)most, check_failures ? "failed" : "as ever");
  end();
}

static void in_a_child(void (*run)(rlim_t), rlim_t most) {
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) run(most);
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// The limit comes when threads are there already.
static void lowered(rlim_t most) {
  int count = 0;
  MUST(pipe(ends) == 0);
  talk();
  limit_to(most);
  talk();
  in_thread(opens, &count);
  say("lowered to %d: %s", (int)most, check_failures ? "failed" : "as ever");
  end();
}

int main(void) {
  for (rlim_t most = 3; most <= 20; most++) in_a_child(child, most);
  for (rlim_t most = 6; most <= 30; most += 6) in_a_child(lowered, most);
  MUST(pipe(ends) == 0);
  talk();
  return finish();
}
