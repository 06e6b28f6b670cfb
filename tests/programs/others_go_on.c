// SPDX-License-Identifier: Apache-2.0
// A thread that the argument names hogs its processor or the kernel; beside it echoes, a ping-pong and a sleeper go on.
//
// Nothing is timed: the hog runs until the others have done their rounds, so if they did not go on the program would
// never end. Who ran meanwhile is counted.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { kEchoes = 40, kRounds = 30 };

static const char* kind;
static volatile int others_done;
static volatile long spins;
static int raw_pipe[2];
static sem_t hog_started;

static long raw_read(int fd, char* byte) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_read), "D"((long)fd), "S"(byte), "d"(1L)
                   : "rcx", "r11", "memory");
  return result;
}

static void* hog(void* unused) {
  char byte = 0;
  sem_post(&hog_started);
  if (strcmp(kind, "compute") == 0) {
    while (!others_done) spins++;
  } else if (strcmp(kind, "yield") == 0) {
    while (!others_done) {
      sched_yield();
      spins++;
    }
  } else if (strcmp(kind, "pause_instruction") == 0) {
    while (!__atomic_load_n(&others_done, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
  } else if (strcmp(kind, "kernel") == 0) {
    // A wait that no hook sees, for a byte that comes when the others are done.
    CHECK(raw_read(raw_pipe[0], &byte) == 1);
  } else if (strcmp(kind, "always_ready") == 0) {
    // Never has to wait, and calls a hook each time.
    int zero = open("/dev/zero", O_RDONLY), pair[2];
    unix_pair(SOCK_STREAM, pair);
    while (!others_done) {
      MUST(read(zero, &byte, 1) == 1);
      MUST(write(pair[0], "x", 1) == 1 && read(pair[1], &byte, 1) == 1);
      spins++;
    }
    close(zero);
    close(pair[0]);
    close(pair[1]);
  } else if (strcmp(kind, "system") == 0) {
    CHECK(system("read -r line < go") == 0);
  } else if (strcmp(kind, "child") == 0) {
    pid_t pid = fork();
    if (pid == 0) {
      close(raw_pipe[1]);
      _exit(raw_read(raw_pipe[0], &byte) == 1 ? 0 : 1);
    }
    int status = 1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  } else if (strcmp(kind, "file_lock") == 0) {
    int fd = open("lock", O_RDWR);
    CHECK(flock(fd, LOCK_EX) == 0);
    close(fd);
  } else if (strcmp(kind, "fifo") == 0) {
    int fd = open("go", O_RDONLY);
    CHECK(read(fd, &byte, 1) == 1);
    close(fd);
  }
  return unused;
}

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  long count = 0;
  while (read(fd, &byte, 1) == 1) {
    MUST(write(fd, &byte, 1) == 1);
    count++;
  }
  close(fd);
  return as_pointer(count);
}

static void* client(void* argument) {
  char byte;
  for (int i = 0; i < kRounds; i++)
    MUST(write((int)as_long(argument), "c", 1) == 1 && read((int)as_long(argument), &byte, 1) == 1);
  // A forked child may still have the other's copy: the end has to be said.
  shutdown((int)as_long(argument), SHUT_RDWR);
  close((int)as_long(argument));
  return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static long turn;
static volatile int ping_pong_stop;

// Two threads that always make each other ready; they stop only when the sleeper and the echoes are done.
static void* ping_pong(void* argument) {
  long side = as_long(argument);
  pthread_mutex_lock(&mutex);
  while (!ping_pong_stop) {
    while (turn % 2 != side && !ping_pong_stop) pthread_cond_wait(&turned, &mutex);
    turn++;
    pthread_cond_broadcast(&turned);
  }
  pthread_cond_broadcast(&turned);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void* sleeper(void* unused) {
  long naps = 0;
  struct timespec nap = {0, 500000};
  for (int i = 0; i < kRounds; i++) naps += nanosleep(&nap, NULL) == 0;
  (void)unused;
  return as_pointer(naps);
}

int main(int argc, char** argv) {
  kind = argc > 1 ? argv[1] : "compute";
  sem_init(&hog_started, 0, 0);
  MUST(pipe(raw_pipe) == 0);
  int lock = open("lock", O_RDWR | O_CREAT, 0600);
  MUST(flock(lock, LOCK_EX) == 0);
  MUST(mkfifo("go", 0600) == 0);

  pthread_t echoes[kEchoes], clients[kEchoes], players[2];
  // Some are there before the hog, some come after it.
  int pairs[kEchoes][2];
  for (int i = 0; i < kEchoes; i++) {
    if (i % 2 == 0)
      tcp_pair(pairs[i]);
    else
      unix_pair(SOCK_STREAM, pairs[i]);
  }
  for (int i = 0; i < kEchoes / 2; i++) echoes[i] = start_thread(echo, as_pointer(pairs[i][0]));
  settle();
  pthread_t hog_thread = start_thread(hog, NULL);
  sem_wait(&hog_started);
  for (int i = kEchoes / 2; i < kEchoes; i++) echoes[i] = start_thread(echo, as_pointer(pairs[i][0]));
  for (long i = 0; i < 2; i++) players[i] = start_thread(ping_pong, as_pointer(i));
  for (int i = 0; i < kEchoes; i++) clients[i] = start_thread(client, as_pointer(pairs[i][1]));
  pthread_t napper = start_thread(sleeper, NULL);
  for (int i = 0; i < kEchoes; i++) join_thread(clients[i]);
  long count = 0;
  for (int i = 0; i < kEchoes; i++) count += as_long(join_thread(echoes[i]));
  say("%s: echoed %ld", kind, count);
  say("naps %ld", as_long(join_thread(napper)));
  pthread_mutex_lock(&mutex);
  ping_pong_stop = 1;
  pthread_cond_broadcast(&turned);
  CHECK(turn > 0);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < 2; i++) join_thread(players[i]);

  others_done = 1;
  if (strcmp(kind, "kernel") == 0 || strcmp(kind, "child") == 0) MUST(write(raw_pipe[1], "g", 1) == 1);
  if (strcmp(kind, "file_lock") == 0) MUST(flock(lock, LOCK_UN) == 0);
  if (strcmp(kind, "fifo") == 0 || strcmp(kind, "system") == 0) {
    int fd = open("go", O_WRONLY);
    MUST(write(fd, "g\n", 2) == 2);
    close(fd);
  }
  join_thread(hog_thread);
  say("the hog ended last");
  return finish();
}
