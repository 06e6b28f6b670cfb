// SPDX-License-Identifier: Apache-2.0
// Files whose calls wait for the disk: threads write and read theirs at places, in order and by vectors, sync them, read what the page
// cache has dropped, and find what they wrote.
//
// Usage: disk_files [direct|fork|forbid]   O_DSYNC; or O_DIRECT, which a file system may refuse. fork: meanwhile a thread forks, and
//                                          the child's threads do the same. forbid: meanwhile io_uring is forbidden to all threads
#include "check.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { kThreads = 8, kBlocks = 4, kBlock = 4096, kLarge = 64 * kBlock };

static int directly;
static int refused;
static int struck;

static void count_signal(int signal) {
  (void)signal;
  __atomic_add_fetch(&struck, 1, __ATOMIC_RELAXED);
}

static int open_own(int number, int flags) {
  char path[64];
  snprintf(path, sizeof path, "disk.%d.%d", getpid(), number);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | flags, 0600);
  MUST(fd >= 0);
  MUST(unlink(path) == 0);
  return fd;
}

static char* blocks(size_t size) {
  char* memory;
  MUST(posix_memalign((void**)&memory, kBlock, size) == 0);
  return memory;
}

static void* writes(void* argument) {
  int number = (int)as_long(argument), fd = open_own(number, directly ? 0 : O_DSYNC);
  char *out = blocks(kBlock), *in = blocks(kBlock);
  if (directly && fcntl(fd, F_SETFL, O_DIRECT) != 0) __atomic_store_n(&refused, 1, __ATOMIC_RELAXED);
  struct iovec vector = {out, kBlock};
  for (int block = 0; block < kBlocks; block++) {
    memset(out, 'a' + (number + block) % 26, kBlock);
    CHECK(pwrite(fd, out, kBlock, (off_t)block * kBlock) == kBlock);
    CHECK(pwritev(fd, &vector, 1, (off_t)(kBlocks + block) * kBlock) == kBlock);
    CHECK((block % 2 ? fsync : fdatasync)(fd) == 0);
    CHECK(pread(fd, in, kBlock, (off_t)(kBlocks + block) * kBlock) == kBlock && memcmp(in, out, kBlock) == 0);
  }
  CHECK(pread(fd, in, kBlock, (off_t)(2 * kBlocks) * kBlock) == 0);  // the end
  CHECK(write(fd, out, kBlock) == kBlock && writev(fd, &vector, 1) == kBlock);
  CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, in, kBlock) == kBlock && memcmp(in, out, kBlock) == 0);
  errno = 0;
  CHECK(pwrite(fd, out, kBlock, -1) == -1 && errno == EINVAL);
  close(fd);
  free(out);
  free(in);
  return NULL;
}

static void* reads_what_was_dropped(void* argument) {
  int number = (int)as_long(argument), fd = open_own(kThreads + number, 0);
  char *out = blocks(kLarge), *in = blocks(kLarge);
  for (int i = 0; i < kLarge; i++) out[i] = (char)((i * 31 + i / kBlock + number) % 251);
  CHECK(pwrite(fd, out, kLarge, 0) == kLarge && fdatasync(fd) == 0);
  for (int turn = 0; turn < kBlocks; turn++) {
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    off_t at = (off_t)turn * 3 * kBlock + 100;
    CHECK(pread(fd, in, kBlock, at) == kBlock && memcmp(in, out + at, kBlock) == 0);
    struct iovec vector[2] = {{in, 1000}, {in + 1000, kLarge - 1000}};
    CHECK(preadv(fd, vector, 2, at) == kLarge - at && memcmp(in, out + at, (size_t)(kLarge - at)) == 0);
    CHECK(pread(fd, in, kLarge, kLarge - 10) == 10 && memcmp(in, out + kLarge - 10, 10) == 0);
  }
  close(fd);
  free(out);
  free(in);
  return NULL;
}

static void all_threads(void) {
  pthread_t threads[2 * kThreads];
  for (int i = 0; i < kThreads; i++) {
    threads[i] = start_thread(writes, as_pointer(i));
    threads[kThreads + i] = start_thread(reads_what_was_dropped, as_pointer(i));
  }
  for (int i = 0; i < 2 * kThreads; i++) join_thread(threads[i]);
}

static void* forks(void* unused) {
  (void)unused;
  fflush(stdout);
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    all_threads();
    _exit(finish());
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return NULL;
}

static void forbid_io_uring(void) {
  struct sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

static void* all_in_turn(void* unused) {
  (void)unused;
  for (int turn = 0; turn < 4; turn++) all_threads();
  return NULL;
}

// A file that may not grow: the signal comes to the thread that wrote.
static void* writes_too_much(void* flags) {
  int fd = open_own(2 * kThreads, (int)as_long(flags));
  char* out = blocks(kBlock);
  memset(out, 'x', kBlock);
  CHECK(pwrite(fd, out, kBlock, 1 << 20) == -1 && errno == EFBIG);
  SHOW(__atomic_exchange_n(&struck, 0, __ATOMIC_RELAXED));
  CHECK(lseek(fd, 1 << 20, SEEK_SET) == 1 << 20);
  CHECK(write(fd, out, kBlock) == -1 && errno == EFBIG);
  SHOW(__atomic_exchange_n(&struck, 0, __ATOMIC_RELAXED));
  CHECK(pwrite(fd, out, kBlock, 0) == kBlock);
  CHECK(close(fd) == 0);
  SHOW(fsync(fd));
  SHOW(pwrite(fd, out, kBlock, 0));
  free(out);
  return NULL;
}

int main(int argc, char** argv) {
  directly = argc > 1 && strcmp(argv[1], "direct") == 0;
  int forking = argc > 1 && strcmp(argv[1], "fork") == 0;
  pthread_t forker;
  if (forking) forker = start_thread(forks, NULL);
  if (argc > 1 && strcmp(argv[1], "forbid") == 0) {
    pthread_t busy = start_thread(all_in_turn, NULL);
    struct timespec nap = {0, 30000000};
    nanosleep(&nap, NULL);
    forbid_io_uring();
    join_thread(busy);
  }
  all_threads();
  if (forking) join_thread(forker);
  signal(SIGXFSZ, count_signal);
  struct rlimit limit = {1 << 20, RLIM_INFINITY};
  MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  in_thread(writes_too_much, as_pointer(O_DSYNC));
  in_thread(writes_too_much, as_pointer(0));
  say("%s", refused ? "refused" : "written");
  return finish();
}
