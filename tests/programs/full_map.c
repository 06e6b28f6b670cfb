// SPDX-License-Identifier: Apache-2.0
// A process that has as many mappings as the kernel allows (vm.max_map_count): pthread_create refuses with EAGAIN or grants a thread
// that works, whether threads were there before or not, and when there is room again they are made as ever.
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { kMost = 1 << 20, kPage = 4096 };

static char* area;
static size_t filled;

// Every second page has another protection, so that each is a mapping.
static void fill(void) {
  area = mmap(NULL, (size_t)kMost * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  MUST(area != MAP_FAILED);
  for (filled = 0; filled < kMost; filled += 2)
    if (mprotect(area + filled * kPage, kPage, PROT_READ)) break;
}

static void* answers(void* argument) {
  sched_yield();
  return argument;
}

static int granted(int wanted) {
  static pthread_t threads[300];
  int made = 0, error = 0;
  for (int i = 0; i < wanted && error == 0; i++)
    if ((error = pthread_create(&threads[made], NULL, answers, as_pointer(made))) == 0) made++;
  CHECK(error == 0 || error == EAGAIN);
  for (int i = 0; i < made; i++) CHECK(as_long(join_thread(threads[i])) == i);
  return made;
}

static void child(int threads_before) {
  if (threads_before) CHECK(granted(3) == 3);
  fill();
  if (filled == kMost) {
    say("no such limit here");
    _exit(0);
  }
  granted(300);
  MUST(munmap(area, (size_t)kMost * kPage) == 0);
  say("with room again: %d", granted(300));
  _exit(check_failures);
}

int main(void) {
  for (int threads_before = 0; threads_before < 2; threads_before++) {
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) child(threads_before);
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  CHECK(granted(3) == 3);
  return finish();
}
