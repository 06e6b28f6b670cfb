/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes that serve one port: each has a listening socket of its own by SO_REUSEPORT, among which the
 * kernel spreads connections, a CPU, and one worker on it. They share nothing; one that dies is begun anew. Each
 * line is answered with the number of the process.
 *     many_processes [PROCESSES] [PORT] */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <weft/co.h>

#include "../sockets.h"

enum { most_processes = 256 };

static int listen_shared(uint16_t port) {
  struct sockaddr_in address = loopback(port);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
      bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, SOMAXCONN) != 0)
    fail("listen");
  return fd;
}

static void serve(int fd, void* unused) {
  char line[256], answer[64];
  FILE* stream = fdopen(fd, "r");
  int length = snprintf(answer, sizeof answer, "%d\n", (int)getpid());
  while (stream != NULL && fgets(line, sizeof line, stream) != NULL &&
         send(fd, answer, (size_t)length, MSG_NOSIGNAL) == length) {
  }
  if (stream != NULL) fclose(stream);
}

/* Every process has a weft of its own from its first coroutine on: none is made before the fork. */
static void run_process(int number, int listener, const sigset_t* mask) {
  cpu_set_t all, own;
  sched_getaffinity(0, sizeof all, &all);
  for (int cpu = 0, left = number % CPU_COUNT(&all); cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &all) || left-- > 0) continue;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof own, &own);
    break;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigprocmask(SIG_SETMASK, mask, NULL);
  check(co_listen_and_serve(listener, serve, NULL), "co_listen_and_serve");
}

static pid_t begin(int number, int listener, const sigset_t* mask) {
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  run_process(number, listener, mask);
  exit(0);
}

int main(int count, char** words) {
  int processes = count > 1 ? atoi(words[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN), signal_number;
  int listeners[most_processes];
  pid_t pids[most_processes];
  sigset_t signals, before;
  if (processes < 1 || processes > most_processes)
    return fprintf(stderr, "usage: %s [PROCESSES] [PORT]\n", words[0]), 2;
  raise_descriptor_limit();
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, &before);

  /* Made here, so that what comes for a process that has died waits for the next. */
  listeners[0] = listen_shared((uint16_t)(count > 2 ? atoi(words[2]) : 0));
  for (int i = 1; i < processes; i++) listeners[i] = listen_shared(port_of(listeners[0]));
  for (int i = 0; i < processes; i++) pids[i] = begin(i, listeners[i], &before);
  announce(listeners[0]);
  while (sigwait(&signals, &signal_number) == 0 && signal_number == SIGCHLD)
    for (pid_t dead; (dead = waitpid(-1, NULL, WNOHANG)) > 0;)
      for (int i = 0; i < processes; i++)
        if (pids[i] == dead) pids[i] = begin(i, listeners[i], &before);
  for (int i = 0; i < processes; i++) kill(pids[i], SIGTERM);
  for (int i = 0; i < processes; i++) waitpid(pids[i], NULL, 0);
  return 0;
}
