// SPDX-License-Identifier: Apache-2.0
// What a new program inherits from the thread that makes it, while twenty others wait: pending signals of the thread and of the process,
// with their values, signal mask, ignored signals, descriptors, environment, directory, timer. By every way to exec, the system call
// included; the second image looks at all that from main and from a thread. Before that an exec that fails changes nothing.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { kOthers = 20, kMostDescriptors = 4096 };

static int pair[2];
static sem_t never;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static char* own_path;
static const char* way;
extern char** environ;

static void* waits(void* argument) {
  char byte;
  struct timespec long_time = {1000, 0};
  switch (as_long(argument) % 4) {
    case 0:
      read(pair[1], &byte, 1);
      break;
    case 1:
      sem_wait(&never);
      break;
    case 2:
      pthread_mutex_lock(&held);
      break;
    default:
      nanosleep(&long_time, NULL);
  }
  say("a thread went on");
  return NULL;
}

// ---- what is looked at

static void show_set(const char* what, const char* word) {
  char line[256];
  FILE* file = fopen("/proc/thread-self/status", "re");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, word, strlen(word)) == 0) {
      line[strcspn(line, "\n")] = 0;
      say("%s: %s", what, line);
    }
  if (file) fclose(file);
}

static void show_descriptors(void) {
  char text[512] = "";
  for (int fd = 0, at = 0; fd < kMostDescriptors && at < 400; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) at += sprintf(text + at, " %d%s", fd, flags & FD_CLOEXEC ? "c" : "");
  }
  say("descriptors:%s", text);
}

static void show_state(const char* what) {
  struct rlimit limit;
  struct itimerval timer;
  mode_t mask = umask(0);
  umask(mask);
  sigset_t set;
  int blocked = 0;
  pthread_sigmask(SIG_SETMASK, NULL, &set);
  for (int number = 1; number < 65; number++) blocked += sigismember(&set, number) == 1;
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  getitimer(ITIMER_REAL, &timer);
  say("%s: %d signals blocked, umask %o, %ld descriptors, timer %d, %s", what, blocked, (unsigned)mask,
      (long)limit.rlim_cur, timer.it_value.tv_sec > 100, getenv("KEPT") ? getenv("KEPT") : "no environment");
}

static void take(const char* who, int number) {
  sigset_t set;
  siginfo_t info;
  struct timespec none = {0, 0};
  sigemptyset(&set);
  sigaddset(&set, number);
  int got = sigtimedwait(&set, &info, &none);
  if (got < 0)
    say("%s: signal %d: %s", who, number, name_of_errno(errno));
  else
    say("%s: signal %d, code %d, value %d, own %d", who, got, info.si_code,
        info.si_code == SI_QUEUE ? info.si_value.sival_int : 0, info.si_pid == getpid());
}

static void* looks(void* unused) {
  char byte = '-';
  show_state("its thread");
  take("its thread", SIGUSR1);       // of the process
  take("its thread", SIGRTMIN + 3);  // of main alone
  CHECK(read(STDIN_FILENO, &byte, 1) == 1 && byte == 'i');
  return unused;
}

static int second_image(void) {
  say("-- %s", way);
  show_set("pending", "SigPnd");
  show_set("of the process", "ShdPnd");
  show_set("blocked", "SigBlk");
  show_set("ignored", "SigIgn");
  show_set("threads", "Threads");
  show_descriptors();
  show_state("main");
  take("main", SIGUSR2);
  take("main", SIGUSR2);
  take("main", SIGRTMIN + 2);
  take("main", SIGRTMIN + 2);
  in_thread(looks, NULL);
  take("main", SIGRTMIN + 3);
  return finish();
}

// ---- the first image

static void execute(const char* path) {
  char* const arguments[] = {own_path, (char*)way, (char*)"second", NULL};
  char* environment[1000] = {NULL};
  for (int i = 0; i < 999 && environ[i]; i++)
    environment[i] = strncmp(environ[i], "KEPT=", 5) == 0 ? (char*)"KEPT=an environment of its own" : environ[i];
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (strcmp(way, "execv") == 0) execv(path, arguments);
  if (strcmp(way, "execve") == 0) execve(path, arguments, environment);
  if (strcmp(way, "execvp") == 0) execvp(path, arguments);
  if (strcmp(way, "execvpe") == 0) execvpe(path, arguments, environ);
  if (strcmp(way, "execl") == 0) execl(path, own_path, way, "second", (char*)NULL);
  if (strcmp(way, "execle") == 0) execle(path, own_path, way, "second", (char*)NULL, environ);
  if (strcmp(way, "execlp") == 0) execlp(path, own_path, way, "second", (char*)NULL);
  if (strcmp(way, "fexecve") == 0) fexecve(fd, arguments, environ);
  if (strcmp(way, "execveat") == 0) execveat(fd, "", arguments, environ, AT_EMPTY_PATH);
  if (strcmp(way, "system_call") == 0) syscall(SYS_execve, path, arguments, environ);
  if (strcmp(way, "system_call_at") == 0) syscall(SYS_execveat, AT_FDCWD, path, arguments, environ, 0);
  if (strcmp(way, "main") == 0 || strcmp(way, "handler") == 0) execv(path, arguments);
  say("no exec: %s", name_of_errno(errno));
  if (fd >= 0) close(fd);
}

static void executes_in_handler(int number) {
  (void)number;
  execute(own_path);
}

static void* executes(void* unused) {
  sigset_t set;
  union sigval value = {.sival_int = 4711};
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGRTMIN + 2);
  sigaddset(&set, SIGRTMIN + 3);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  MUST(pthread_kill(pthread_self(), SIGUSR2) == 0);
  MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
  value.sival_int++;
  MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
  MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 3, value) == 0);
  MUST(kill(getpid(), SIGUSR1) == 0);
  execute("/nowhere");
  // What is pending is so after an exec that failed.
  sigset_t pending;
  MUST(sigpending(&pending) == 0);
  say("pending: %d %d %d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2),
      sigismember(&pending, SIGRTMIN + 2), sigismember(&pending, SIGTERM));
  take("first image", SIGRTMIN + 2);
  value.sival_int++;
  MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
  if (strcmp(way, "handler") == 0) {
    signal(SIGWINCH, executes_in_handler);
    raise(SIGWINCH);
  }
  execute(own_path);
  return unused;
}

int main(int argc, char** argv) {
  MUST(argc > 1);
  own_path = argv[0];
  way = argv[1];
  if (argc > 2) return second_image();
  struct itimerval timer = {{0, 0}, {1000, 0}};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int input[2];
  MUST(pipe(input) == 0);
  MUST(write(input[1], "i", 1) == 1);
  MUST(dup2(input[0], STDIN_FILENO) == STDIN_FILENO);
  MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  MUST(dup2(pair[0], 100) == 100);
  MUST(setenv("KEPT", "the environment", 1) == 0);
  MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  umask(027);
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, SIG_DFL);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  sem_init(&never, 0, 0);
  MUST(pthread_mutex_lock(&held) == 0);
  for (long i = 0; i < kOthers; i++) start_thread(waits, as_pointer(i));
  settle();
  if (strcmp(way, "main") == 0)
    executes(NULL);
  else
    in_thread(executes, NULL);
  return 1;
}
