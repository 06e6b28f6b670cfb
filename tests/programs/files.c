// SPDX-License-Identifier: Apache-2.0
// Regular files and device files from many threads, and the calls on files that wait: locks of three kinds, syncs.
#include "check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { kThreads = 12, kBlock = 4096 };

static int shared_file;

static void* own_part(void* argument) {
  long index = as_long(argument);
  char block[kBlock], back[kBlock];
  struct iovec out[2] = {{block, 100}, {block + 100, kBlock - 100}},
               in[2] = {{back, 2000}, {back + 2000, kBlock - 2000}};
  memset(block, 'a' + (int)index, sizeof block);
  off_t at = index * kBlock;
  long result = 0;
  result += pwrite(shared_file, block, sizeof block, at);
  result += pread(shared_file, back, sizeof back, at);
  CHECK(memcmp(block, back, sizeof block) == 0);
  result += pwritev(shared_file, out, 2, at);
  memset(back, 0, sizeof back);
  result += preadv(shared_file, in, 2, at);
  CHECK(memcmp(block, back, sizeof block) == 0);
  result += pwrite64(shared_file, block, sizeof block, at);
  result += pread64(shared_file, back, sizeof back, at);
  CHECK(memcmp(block, back, sizeof block) == 0);
  result += pwritev64(shared_file, out, 2, at);
  result += preadv64(shared_file, in, 2, at);
  CHECK(memcmp(block, back, sizeof block) == 0);
  CHECK(fsync(shared_file) == 0);
  CHECK(fdatasync(shared_file) == 0);
  int fd = open64("shared", O_RDONLY);
  CHECK(fd >= 0);
  CHECK(lseek(fd, at, SEEK_SET) == at);
  result += read(fd, back, sizeof back);
  CHECK(memcmp(block, back, sizeof block) == 0);
  close(fd);
  return as_pointer(result);
}

static void devices(void) {
  char buffer[64];
  int null = open("/dev/null", O_RDWR), zero = openat(AT_FDCWD, "/dev/zero", O_RDONLY),
      full = open("/dev/full", O_WRONLY);
  SHOW(read(null, buffer, sizeof buffer));
  SHOW(write(null, buffer, sizeof buffer));
  SHOW(read(zero, buffer, sizeof buffer));
  SHOW(write(full, buffer, sizeof buffer));
  close(null);
  close(zero);
  close(full);
  SHOW(open("missing/file", O_RDONLY));
  SHOW(open64("missing", O_RDONLY));
  SHOW(openat(999, "relative", O_RDONLY));
  SHOW(creat("missing/file", 0600));
  int directory = open(".", O_RDONLY | O_DIRECTORY);
  SHOW(read(directory, buffer, 1));
  close(directory);
  SHOW(fsync(-1));
  SHOW(fdatasync(-1));
  int ends[2];
  MUST(pipe(ends) == 0);
  SHOW(fsync(ends[0]));
  close(ends[0]);
  close(ends[1]);
}

// A lock on a file: each kind is held by one open description or process; the waiter gets it when the holder lets go.
static sem_t about_to_wait;

static int take(int how, int fd, int wait) {
  struct flock region = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (how == 0) return flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
  if (how == 1) return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &region);
  if (how == 2) return fcntl(fd, wait ? F_SETLKW : F_SETLK, &region);
  if (how == 3) return lockf(fd, wait ? F_LOCK : F_TLOCK, 0);
  return lockf64(fd, wait ? F_LOCK : F_TLOCK, 0);
}

static int release(int how, int fd) {
  struct flock region = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  if (how == 0) return flock(fd, LOCK_UN);
  if (how == 1) return fcntl(fd, F_OFD_SETLK, &region);
  if (how == 2) return fcntl(fd, F_SETLK, &region);
  return how == 3 ? lockf(fd, F_ULOCK, 0) : lockf64(fd, F_ULOCK, 0);
}

static int released;

static void* lock_waiter(void* argument) {
  int fd = open("lock", O_RDWR | O_CREAT, 0600);
  sem_post(&about_to_wait);
  int result = take((int)as_long(argument), fd, 1);
  CHECK(__atomic_load_n(&released, __ATOMIC_ACQUIRE));
  close(fd);
  return as_pointer(result);
}

static void between_threads(int how) {
  int fd = open("lock", O_RDWR | O_CREAT, 0600), second = open("lock", O_RDWR);
  pthread_t threads[3];
  released = 0;
  CHECK(take(how, fd, 1) == 0);
  errno = 0;
  CHECK(take(how, second, 0) == -1 && (errno == EAGAIN || errno == EACCES));
  for (int i = 0; i < 3; i++) {
    threads[i] = start_thread(lock_waiter, as_pointer(how));
    sem_wait(&about_to_wait);
  }
  settle();
  __atomic_store_n(&released, 1, __ATOMIC_RELEASE);
  CHECK(release(how, fd) == 0);
  for (int i = 0; i < 3; i++) CHECK(as_long(join_thread(threads[i])) == 0);
  say("lock of kind %d: three waiters had it", how);
  close(fd);
  close(second);
}

static void between_processes(int how) {
  int ready[2], go[2];
  char byte;
  MUST(pipe(ready) == 0 && pipe(go) == 0);
  released = 1;
  pid_t pid = fork();
  if (pid == 0) {
    int own = open("lock", O_RDWR | O_CREAT, 0600);
    close(go[1]);
    if (take(how, own, 1) != 0 || write(ready[1], "r", 1) != 1) _exit(1);
    _exit(read(go[0], &byte, 1) == 1 ? 0 : 2);
  }
  MUST(read(ready[0], &byte, 1) == 1);
  pthread_t thread = start_thread(lock_waiter, as_pointer(how));
  sem_wait(&about_to_wait);
  settle();
  MUST(write(go[1], "g", 1) == 1);
  say("lock of kind %d from another process: %ld", how, as_long(join_thread(thread)));
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid && status == 0);
  close(ready[0]);
  close(ready[1]);
  close(go[0]);
  close(go[1]);
}

static void* all(void* unused) {
  devices();
  for (int how = 0; how < 2; how++) between_threads(how);
  for (int how = 0; how < 5; how++) between_processes(how);
  return unused;
}

int main(void) {
  pthread_t threads[kThreads];
  sem_init(&about_to_wait, 0, 0);
  shared_file = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(own_part, as_pointer(i));
  long total = 0;
  for (int i = 0; i < kThreads; i++) total += as_long(join_thread(threads[i]));
  say("moved %ld bytes", total);
  close(shared_file);
  in_thread(all, NULL);
  return finish();
}
