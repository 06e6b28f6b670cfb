// SPDX-License-Identifier: Apache-2.0
// Files whose transfers wait for the disk: threads write and read theirs at places, in order and by vectors, and find what they wrote.
//
// Usage: synchronous_files [direct]   O_DSYNC; or O_DIRECT, which a file system may refuse
#include "check.h"

#include <fcntl.h>
#include <sys/uio.h>

enum { kThreads = 8, kBlocks = 4, kBlock = 4096 };

static int directly;
static int refused;

static int open_own(int number) {
  char path[64];
  snprintf(path, sizeof path, "synchronous.%d.%d", getpid(), number);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | (directly ? 0 : O_DSYNC), 0600);
  MUST(fd >= 0);
  MUST(unlink(path) == 0);
  return fd;
}

static void* writes(void* argument) {
  int number = (int)as_long(argument), fd = open_own(number);
  char *out, *in;
  MUST(posix_memalign((void**)&out, kBlock, kBlock) == 0 && posix_memalign((void**)&in, kBlock, kBlock) == 0);
  if (directly && fcntl(fd, F_SETFL, O_DIRECT) != 0) __atomic_store_n(&refused, 1, __ATOMIC_RELAXED);
  struct iovec vector = {out, kBlock};
  for (int block = 0; block < kBlocks; block++) {
    memset(out, 'a' + (number + block) % 26, kBlock);
    CHECK(pwrite(fd, out, kBlock, (off_t)block * kBlock) == kBlock);
    CHECK(pwritev(fd, &vector, 1, (off_t)(kBlocks + block) * kBlock) == kBlock);
    CHECK(pread(fd, in, kBlock, (off_t)(kBlocks + block) * kBlock) == kBlock && memcmp(in, out, kBlock) == 0);
  }
  CHECK(write(fd, out, kBlock) == kBlock && writev(fd, &vector, 1) == kBlock);
  CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, in, kBlock) == kBlock && memcmp(in, out, kBlock) == 0);
  errno = 0;
  CHECK(pwrite(fd, out, kBlock, -1) == -1 && errno == EINVAL);
  close(fd);
  free(out);
  free(in);
  return NULL;
}

int main(int argc, char** argv) {
  directly = argc > 1 && strcmp(argv[1], "direct") == 0;
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(writes, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("%s", refused ? "refused" : "written");
  return finish();
}
