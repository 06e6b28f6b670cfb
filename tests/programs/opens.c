// SPDX-License-Identifier: Apache-2.0
// open in all its kinds: what it finds and refuses, flags and numbers, what it makes, FIFOs that wait for their other end, for a signal or
// for a cancellation.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

int __open_2(const char* path, int flags);
int __open64_2(const char* path, int flags);
int __openat_2(int directory, const char* path, int flags);
int __openat64_2(int directory, const char* path, int flags);

enum { kThreads = 8, kFiles = 60, kDepth = 40 };

static void make_file(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

// Its number, flags and kind.
static void show_open(const char* name, int fd) {
  if (fd < 0) {
    say("%s: %s", name, name_of_errno(errno));
    return;
  }
  struct stat status;
  MUST(fstat(fd, &status) == 0);
  say("%s: number %d, flags %o, descriptor's %d, mode %o, %ld bytes", name, fd, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD),
      status.st_mode, S_ISREG(status.st_mode) ? (long)status.st_size : 0L);
  close(fd);
}
#define TRY(call)           \
  do {                      \
    errno = 0;              \
    show_open(#call, call); \
  } while (0)

static void errors(void) {
  char longest[PATH_MAX + 10];
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = 0;
  const char* volatile none = NULL;
  const char* volatile bad = (const char*)16;
  TRY(open("missing", O_RDONLY));
  TRY(open("missing", O_RDONLY));
  TRY(open("missing/file", O_RDONLY));
  TRY(open("missing/file", O_RDWR | O_CREAT, 0600));
  TRY(open("file/below", O_RDONLY));
  TRY(open("file/", O_RDONLY));
  TRY(open("new/", O_RDWR | O_CREAT, 0600));
  TRY(open("", O_RDONLY));
  TRY(open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY(open("link", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY(open("file", O_RDONLY | O_DIRECTORY));
  TRY(open("directory", O_WRONLY));
  TRY(open("directory", O_RDWR | O_CREAT, 0600));
  TRY(open("directory", O_RDONLY | O_CREAT, 0600));
  TRY(open("loop", O_RDONLY));
  TRY(open("loop", O_RDWR | O_CREAT, 0600));
  TRY(open("link", O_RDONLY | O_NOFOLLOW));
  TRY(open("socket", O_RDONLY));
  TRY(open("fifo", O_WRONLY | O_NONBLOCK));
  TRY(open(none, O_RDONLY));
  TRY(open(bad, O_RDONLY));
  TRY(open(bad, O_RDWR | O_CREAT, 0600));
  TRY(openat(999, "file", O_RDONLY));
  TRY(openat(999, "file", O_RDWR | O_CREAT, 0600));
  TRY(openat(-1, "/dev/null", O_RDONLY));
  int fd = open("file", O_RDONLY);
  TRY(openat(fd, "file", O_RDONLY));
  close(fd);
  errno = 0;
  SHOW(open(longest, O_RDONLY));
  longest[PATH_MAX - 1] = 0;
  SHOW(open(longest, O_RDONLY));
  TRY(open("directory", O_RDONLY | __O_TMPFILE, 0600));
  TRY(open("directory", O_RDONLY | O_TMPFILE, 0600));
}

static void kinds_of_flags(void) {
  TRY(open("file", O_RDONLY));
  TRY(open("file", O_WRONLY | O_APPEND | O_CLOEXEC));
  TRY(open("file", O_RDWR | O_SYNC | O_NONBLOCK));
  TRY(open("file", O_RDWR | O_DSYNC | O_NOATIME));
  TRY(open("file", O_ACCMODE));
  TRY(open("file", O_RDONLY | O_ASYNC | O_NOCTTY | O_LARGEFILE));
  TRY(open("file", O_RDONLY | 1 << 30));
  TRY(open("file", O_RDONLY | O_CREAT, 07777));
  TRY(open("link", O_RDONLY));
  TRY(open("file", O_PATH));
  TRY(open("file", O_PATH | O_RDWR | O_TRUNC | O_CLOEXEC));
  TRY(open("link", O_PATH | O_NOFOLLOW));
  TRY(open("fifo", O_PATH));
  TRY(open("directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  TRY(open("directory/../directory/./", O_RDONLY));
  TRY(open("/dev/null", O_RDWR | O_CLOEXEC));
  TRY(open("/dev/zero", O_RDONLY | O_TRUNC));
  TRY(open("fifo", O_RDWR));
  TRY(open("fifo", O_RDONLY | O_NONBLOCK));
  TRY(open64("file", O_RDONLY));
  TRY(openat64(AT_FDCWD, "file", O_RDWR));
  TRY(__open_2("file", O_RDONLY));
  TRY(__open64_2("file", O_RDWR));
  TRY(__openat_2(AT_FDCWD, "file", O_RDONLY));
  TRY(__openat64_2(AT_FDCWD, "missing", O_RDONLY));
  TRY((int)syscall(SYS_open, "file", O_RDONLY, 0));
  TRY((int)syscall(SYS_openat, AT_FDCWD, "file", O_RDWR | O_CREAT, 0600));
  TRY((int)syscall(SYS_creat, "made by number", 0640));
  TRY(open("/proc/self/comm", O_RDONLY));
  int fd = open("directory", O_RDONLY | O_DIRECTORY);
  TRY(openat(fd, "inside", O_RDONLY));
  TRY(openat(fd, "../file", O_RDONLY));
  TRY(openat(fd, "missing", O_RDONLY));
  TRY(openat(fd, "made", O_RDWR | O_CREAT | O_EXCL, 0604));
  close(fd);
}

static void makes(void) {
  mode_t before = umask(027);
  TRY(open("made", O_RDWR | O_CREAT | O_EXCL, 0666));
  TRY(open("dangling", O_RDWR | O_CREAT, 0777));
  TRY(creat("created", 0777));
  TRY(creat64("created", 0600));
  umask(0);
  TRY(creat("wide", 0666));
  TRY(open("wider", O_WRONLY | O_CREAT, 01777));
  umask(before);
  make_file("long", "twenty bytes of text");
  TRY(open("long", O_RDONLY));
  TRY(open("long", O_WRONLY | O_TRUNC));
  TRY(open("directory", O_RDWR | O_TMPFILE, 0600));
  TRY(open("directory", O_WRONLY | O_TMPFILE | O_EXCL, 0640));
  FILE* stream = fopen("streamed", "wx");
  CHECK(stream && fputs("text", stream) >= 0 && fclose(stream) == 0);
  CHECK(fopen("streamed", "wx") == NULL && errno == EEXIST);
}

static void lowest_numbers(void) {
  int first = open("file", O_RDONLY), second = open("file", O_RDONLY), third = open("fifo", O_RDWR);
  say("%d and %d more", second - first, third - second);
  close(first);
  SHOW(open("missing", O_RDONLY));
  int again = open("link", O_RDONLY);
  CHECK(again == first);
  close(second);
  again = open("numbered", O_RDWR | O_CREAT, 0600);
  CHECK(again == second);
  close(first);
  close(second);
  close(third);
}

static void deep(void) {
  int at = open(".", O_RDONLY | O_DIRECTORY);
  char path[3 * kDepth + 10] = "";
  for (int level = 0; level < kDepth; level++) {
    MUST(mkdirat(at, "d", 0700) == 0);
    int below = openat(at, "d", O_RDONLY | O_DIRECTORY);
    MUST(below >= 0);
    close(at);
    at = below;
    strcat(path, "d/");
  }
  strcat(path, "leaf");
  TRY(open(path, O_RDONLY));
  TRY(open(path, O_RDWR | O_CREAT, 0600));
  TRY(openat(at, "leaf", O_RDONLY));
  close(at);
}

static void in_changed_directory(void) {
  MUST(chdir("directory") == 0);
  TRY(open("inside", O_RDONLY));
  TRY(open("file", O_RDONLY));
  TRY(open("../file", O_RDONLY));
  TRY(open("made here", O_RDWR | O_CREAT, 0600));
  MUST(chdir("..") == 0);
  TRY(open("directory/made here", O_RDONLY));
}

// All want to make the same files: each is made once, and everyone finds it.
static int made_first;
static void* make_same(void* argument) {
  char path[32], byte;
  long index = as_long(argument);
  for (int i = 0; i < kFiles; i++) {
    snprintf(path, sizeof path, "same.%d", i);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
      __atomic_add_fetch(&made_first, 1, __ATOMIC_RELAXED);
    else
      CHECK(errno == EEXIST && (fd = open(path, O_RDWR)) >= 0);
    CHECK(close(fd) == 0);
    snprintf(path, sizeof path, "own.%ld.%d", index, i);
    fd = creat(path, 0600);
    CHECK(fd >= 0 && write(fd, &index, 1) == 1 && close(fd) == 0);
    fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == (char)index && close(fd) == 0 && unlink(path) == 0);
    CHECK(open(path, O_RDONLY) == -1 && errno == ENOENT);
  }
  return NULL;
}

static void makes_by_many(void) {
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(make_same, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("%d made", made_first);
}

static sem_t about_to_open;

static int handled;

static void count_signal(int signal) {
  (void)signal;
  __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void* opens_fifo(void* flags) {
  sem_post(&about_to_open);
  errno = 0;
  int fd = open("fifo", (int)as_long(flags));
  long error = errno;
  if (fd < 0) return as_pointer(-error);
  close(fd);
  return as_pointer(1);
}

static void fifos(void) {
  const int ends[2] = {O_RDONLY, O_WRONLY};
  for (int end = 0; end < 2; end++) {
    pthread_t waits = start_thread(opens_fifo, as_pointer(ends[end]));
    sem_wait(&about_to_open);
    settle();
    int fd = open("fifo", ends[!end]);
    CHECK(fd >= 0);
    say("one end waited for the other: %ld", as_long(join_thread(waits)));
    close(fd);
  }
  for (int restarting = 0; restarting < 2; restarting++) {
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = restarting ? SA_RESTART : 0};
    MUST(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t waits = start_thread(opens_fifo, as_pointer(O_RDONLY));
    sem_wait(&about_to_open);
    settle();
    handled = 0;
    MUST(pthread_kill(waits, SIGUSR1) == 0);
    while (!__atomic_load_n(&handled, __ATOMIC_RELAXED)) sched_yield();
    int fd = restarting ? open("fifo", O_WRONLY) : -1;
    long result = as_long(join_thread(waits));
    say("a signal %s: %s", restarting ? "that restarts" : "that ends it", result < 0 ? name_of_errno((int)-result) : "open");
    if (fd >= 0) close(fd);
  }
  pthread_t waits = start_thread(opens_fifo, as_pointer(O_WRONLY));
  sem_wait(&about_to_open);
  settle();
  MUST(pthread_cancel(waits) == 0);
  say("cancelled: %d", join_thread(waits) == PTHREAD_CANCELED);
}

static void* refused_to_others(void* unused) {
  TRY(open("locked/file", O_RDONLY));
  TRY(open("locked/missing", O_RDONLY));
  TRY(open("locked/new", O_RDWR | O_CREAT, 0600));
  TRY(open("locked", O_RDONLY));
  TRY(open("locked", O_PATH));
  TRY(open("unreadable", O_RDONLY));
  TRY(open("unreadable", O_WRONLY | O_TRUNC));
  TRY(open("readable", O_RDONLY));
  TRY(open("/", O_RDWR | O_TMPFILE, 0600));
  return unused;
}

static void* all(void* unused) {
  errors();
  kinds_of_flags();
  makes();
  lowest_numbers();
  deep();
  in_changed_directory();
  makes_by_many();
  fifos();
  return unused;
}

int main(void) {
  sem_init(&about_to_open, 0, 0);
  make_file("file", "text");
  make_file("unreadable", "text");
  make_file("readable", "text");
  MUST(mkdir("directory", 0700) == 0 && mkdir("locked", 0700) == 0 && mkfifo("fifo", 0600) == 0);
  make_file("directory/inside", "more");
  make_file("locked/file", "text");
  MUST(symlink("file", "link") == 0 && symlink("loop", "loop") == 0 && symlink("absent", "dangling") == 0);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
  MUST(bind(listener, (struct sockaddr*)&address, sizeof address) == 0);
  close(listener);
  in_thread(all, NULL);
  MUST(chmod("locked", 0) == 0 && chmod("unreadable", 0) == 0 && chmod("readable", 0444) == 0);
  if (geteuid() == 0) MUST(setgid(65534) == 0 && setuid(65534) == 0);
  in_thread(refused_to_others, NULL);
  return finish();
}
