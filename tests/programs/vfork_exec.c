// SPDX-License-Identifier: Apache-2.0
// vfork in threads: the child closes everything, opens, duplicates and runs a program; the parent's waits are
// untouched.
#include "socket_pairs.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static sem_t about_to_wait;

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  sem_post(&about_to_wait);
  while (read(fd, &byte, 1) == 1) MUST(write(fd, &byte, 1) == 1);
  close(fd);
  return NULL;
}

static int run_child(int how) {
  int ends[2];
  char text[64] = {0};
  MUST(pipe(ends) == 0);
  pid_t pid = vfork();
  if (pid == 0) {
    dup2(ends[1], 1);
    if (how == 0) {
      for (int fd = 3; fd < 1024; fd++) close(fd);
    } else if (how == 1) {
      close_range(3, ~0u, 0);
    } else {
      closefrom(3);
    }
    if (how == 3) _exit(33);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    close(null);
    int extra[2];
    if (pipe(extra) != 0 || socket(AF_INET, SOCK_STREAM, 0) < 0) _exit(90);
    fcntl(extra[0], F_SETFL, O_NONBLOCK);
    execl("/bin/echo", "echo", "from the child", (char*)NULL);
    _exit(91);
  }
  MUST(pid > 0);
  close(ends[1]);
  ssize_t got = 0, now;
  while ((now = read(ends[0], text + got, sizeof text - 1 - (size_t)got)) > 0) got += now;
  close(ends[0]);
  if (got > 0) text[got - 1] = 0;
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("vfork %d: status %d \"%s\"", how, WEXITSTATUS(status), text);
  return status;
}

static void* runs_children(void* argument) {
  for (int how = 0; how < 4; how++) run_child(how);
  return argument;
}

static void* vforks_again(void* unused) {
  // Several in a row, the return address used twice each time.
  for (volatile int i = 0; i < 20; i++) {
    pid_t pid = vfork();
    if (pid == 0) _exit(i);
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i);
  }
  return unused;
}

int main(void) {
  int fds[12];
  pthread_t threads[12];
  sem_init(&about_to_wait, 0, 0);
  runs_children(NULL);
  for (int i = 0; i < 12; i++) {
    int pair[2];
    if (i % 2 == 0)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    fds[i] = pair[0];
    threads[i] = start_thread(echo, as_pointer(pair[1]));
    sem_wait(&about_to_wait);
  }
  settle();
  say("-- from a thread");
  in_thread(runs_children, NULL);
  say("-- from main");
  runs_children(NULL);
  in_thread(vforks_again, NULL);
  vforks_again(NULL);
  int right = 0;
  for (int i = 0; i < 12; i++) {
    char byte = 0;
    MUST(write(fds[i], "v", 1) == 1);
    right += read(fds[i], &byte, 1) == 1 && byte == 'v';
    close(fds[i]);
    join_thread(threads[i]);
  }
  say("the parent's echoes: %d", right);
  return finish();
}
