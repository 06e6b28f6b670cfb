// SPDX-License-Identifier: Apache-2.0
// A terminal: a thread waits for a line, the end of file, raw mode, FIONREAD, hang-up.
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static sem_t about_to_wait;

struct waiter {
  int fd;
  ssize_t got;
  int error;
  char text[64];
};

static void* reader(void* argument) {
  struct waiter* waiter = argument;
  sem_post(&about_to_wait);
  errno = 0;
  waiter->got = read(waiter->fd, waiter->text, sizeof waiter->text - 1);
  waiter->error = waiter->got == -1 ? errno : 0;
  return NULL;
}

static void line_of(const char* what, int fd, int other, const char* send) {
  struct waiter waiter = {fd, -1, 0, {0}};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  MUST(write(other, send, strlen(send)) == (ssize_t)strlen(send));
  join_thread(thread);
  while (waiter.got > 0 && (waiter.text[waiter.got - 1] == '\n' || waiter.text[waiter.got - 1] == '\r'))
    waiter.text[--waiter.got] = 0;
  say("%s: %zd \"%s\" %s", what, waiter.got, waiter.text, name_of_errno(waiter.error));
}

static void child_behind_terminal(void) {
  int master = -1;
  char text[64] = {0};
  pid_t pid = forkpty(&master, NULL, NULL, NULL);
  if (pid == 0) {
    say("a terminal %d", isatty(STDOUT_FILENO));
    _exit(12);
  }
  MUST(pid > 0);
  ssize_t got = 0, now;
  while (got < 60 && (now = read(master, text + got, sizeof text - 1 - (size_t)got)) > 0) got += now;
  text[strcspn(text, "\r\n")] = 0;
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("child behind a terminal: \"%s\", status %d", text, WEXITSTATUS(status));
  close(master);
}

static void* child_from_thread(void* unused) {
  child_behind_terminal();
  return unused;
}

int main(void) {
  int master, slave;
  struct termios mode;
  sem_init(&about_to_wait, 0, 0);
  MUST(openpty(&master, &slave, NULL, NULL, NULL) == 0);
  SHOW(isatty(slave));
  MUST(tcgetattr(slave, &mode) == 0);
  mode.c_lflag &= ~(tcflag_t)ECHO;
  MUST(tcsetattr(slave, TCSANOW, &mode) == 0);
  line_of("line", slave, master, "hello terminal\n");
  line_of("end of file", slave, master, "\004");
  line_of("from the slave", master, slave, "answer");
  cfmakeraw(&mode);
  MUST(tcsetattr(slave, TCSANOW, &mode) == 0);
  line_of("raw", slave, master, "r");
  MUST(write(master, "abc", 3) == 3);
  char rest[8];
  for (ssize_t left = 3; left > 0;) {
    struct pollfd entry = {slave, POLLIN, 0};
    MUST(poll(&entry, 1, -1) == 1);
    int waiting = 0;
    MUST(ioctl(slave, FIONREAD, &waiting) == 0);
    ssize_t got = read(slave, rest, (size_t)left);
    CHECK(got > 0 && got >= (waiting < left ? waiting : left));
    left -= got;
  }
  CHECK((fcntl(slave, F_GETFL) & O_NONBLOCK) == 0);
  // Whether the sleeper of a hang-up sees EIO or the end is a race inside the kernel.
  struct waiter waiter = {slave, 1, 0, {0}};
  pthread_t thread = start_thread(reader, &waiter);
  sem_wait(&about_to_wait);
  settle();
  close(master);
  join_thread(thread);
  say("hang-up: %s", waiter.got <= 0 ? "the end" : "data");
  close(slave);
  child_behind_terminal();
  in_thread(child_from_thread, NULL);
  return finish();
}
