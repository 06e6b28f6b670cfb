// SPDX-License-Identifier: Apache-2.0
// A thread that becomes a daemon while others wait: two forks, a session of its own, every descriptor closed, /dev/null in
// place of the first three. The daemon makes threads again and reports through a FIFO that it opens anew.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int ends[2];
static sem_t waiting;

static void* waits(void* unused) {
  char byte;
  sem_post(&waiting);
  CHECK(read(ends[0], &byte, 1) == 1);
  return unused;
}

static void* adds(void* argument) {
  usleep(1000);
  return as_pointer(as_long(argument) + 1);
}

static void daemon_runs(void) {
  struct rlimit limit;
  pthread_t threads[10];
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  long most = limit.rlim_cur > 65536 ? 65536 : (long)limit.rlim_cur;
  for (int fd = 0; fd < most; fd++) close(fd);
  int first = open("/dev/null", O_RDWR), second = dup(first), third = dup(first);
  long sum = 0;
  for (long i = 0; i < 10; i++) threads[i] = start_thread(adds, as_pointer(i));
  for (int i = 0; i < 10; i++) sum += as_long(join_thread(threads[i]));
  int report = open("report", O_WRONLY);
  dprintf(report, "descriptors %d %d %d, then %d; leads its session %d; threads %ld\n", first, second, third, report,
          getsid(0) == getpid(), sum);
  _exit(0);
}

static void* becomes_daemon(void* unused) {
  int status = -1;
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    MUST(setsid() == getpid());
    pid_t grandchild = fork();
    if (grandchild == 0) daemon_runs();
    _exit(grandchild < 0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return unused;
}

static void* once(void* unused) {
  char text[256];
  ssize_t got = 0, now;
  pthread_t daemon_maker = start_thread(becomes_daemon, NULL);
  int fd = open("report", O_RDONLY);
  MUST(fd >= 0);
  while ((now = read(fd, text + got, sizeof text - 1 - (size_t)got)) > 0) got += now;
  text[got > 0 ? got - 1 : 0] = 0;
  say("%s", text);
  close(fd);
  join_thread(daemon_maker);
  return unused;
}

int main(void) {
  pthread_t threads[5];
  sem_init(&waiting, 0, 0);
  MUST(pipe(ends) == 0 && mkfifo("report", 0600) == 0);
  for (int i = 0; i < 5; i++) threads[i] = start_thread(waits, NULL);
  for (int i = 0; i < 5; i++) sem_wait(&waiting);
  for (int i = 0; i < 3; i++) in_thread(once, NULL);
  once(NULL);
  MUST(write(ends[1], "12345", 5) == 5);
  for (int i = 0; i < 5; i++) join_thread(threads[i]);
  unlink("report");
  return finish();
}
