// SPDX-License-Identifier: Apache-2.0
// SIGPIPE and EPIPE: by the disposition and the mask of the thread that writes, or death, as the argument says.
#include "socket_pairs.h"

#include <signal.h>
#include <sys/uio.h>

static volatile sig_atomic_t handled;
static pthread_t handled_in;

static void handler(int number) {
  handled += number == SIGPIPE;
  handled_in = pthread_self();
}

static void* writes(void* unused) {
  int pair[2], ends[2];
  struct iovec part = {(void*)"x", 1};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  unix_pair(SOCK_STREAM, pair);
  close(pair[1]);
  MUST(pipe(ends) == 0);
  close(ends[0]);
  handled = 0;
  SHOW(write(pair[0], "x", 1));
  SHOW(send(pair[0], "x", 1, 0));
  SHOW(writev(pair[0], &part, 1));
  SHOW(sendmsg(pair[0], &message, 0));
  SHOW(sendto(pair[0], "x", 1, 0, NULL, 0));
  SHOW(write(ends[1], "x", 1));
  SHOW(writev(ends[1], &part, 1));
  say("SIGPIPE handled %d times, here %d", (int)handled, handled == 0 || pthread_equal(handled_in, pthread_self()));
  SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
  say("and with MSG_NOSIGNAL %d", (int)handled);
  close(pair[0]);
  close(ends[1]);
  return unused;
}

static void* blocked(void* unused) {
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  writes(NULL);
  sigpending(&pending);
  say("pending %d", sigismember(&pending, SIGPIPE));
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  say("handled %d after unblocking", (int)handled);
  return unused;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "die") == 0) {
    say("about to die");
    in_thread(writes, NULL);
    return 0;
  }
  signal(SIGPIPE, SIG_IGN);
  say("-- ignored");
  in_thread(writes, NULL);
  writes(NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  MUST(sigaction(SIGPIPE, &action, NULL) == 0);
  say("-- handled");
  in_thread(writes, NULL);
  writes(NULL);
  say("-- blocked");
  in_thread(blocked, NULL);
  return finish();
}
