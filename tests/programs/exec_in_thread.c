// SPDX-License-Identifier: Apache-2.0
// exec from a thread while others wait: the program replaces the process, with the thread's mask, and inherited
// descriptors.
#include "socket_pairs.h"

#include <signal.h>

static char* own_path;
static int pair[2];

static void* waits(void* unused) {
  char byte;
  (void)unused;
  return as_pointer(read(pair[1], &byte, 1));
}

static void* executes(void* unused) {
  char text[16];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  MUST(write(pair[0], "inherited", 9) == 9);
  int fresh[2];
  unix_pair(SOCK_STREAM, fresh);
  MUST(write(fresh[0], "through exec", 12) == 12);
  snprintf(text, sizeof text, "%d", fresh[1]);
  execl(own_path, own_path, text, (char*)NULL);
  say("exec failed: %s", name_of_errno(errno));
  return unused;
}

// The second image: a descriptor that it never saw being made, waited on in a thread.
static void* reads_inherited(void* argument) {
  char buffer[32] = {0};
  MUST(recv((int)as_long(argument), buffer, 12, MSG_WAITALL) == 12);
  say("read %s", buffer);
  return NULL;
}

int main(int argc, char** argv) {
  own_path = argv[0];
  if (argc > 1) {
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    int others = 0;
    for (int number = 1; number < 32; number++) others += number != SIGUSR2 && sigismember(&set, number) == 1;
    say("second image: USR2 blocked %d, others %d", sigismember(&set, SIGUSR2), others);
    in_thread(reads_inherited, as_pointer(atoi(argv[1])));
    return finish();
  }
  say("first image");
  unix_pair(SOCK_STREAM, pair);
  pthread_t waiter = start_thread(waits, NULL);
  (void)waiter;
  settle();
  in_thread(executes, NULL);
  return 1;
}
