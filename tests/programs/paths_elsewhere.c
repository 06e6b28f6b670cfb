// SPDX-License-Identifier: Apache-2.0
// Paths that only a library of the program's knows: its open and its stat are the ones that are called.
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { kTurns = 50 };

static void* finds(void* unused) {
  struct stat status;
  for (int turn = 0; turn < kTurns; turn++) {
    int fd = open("elsewhere/file", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "t", 1) == 1 && close(fd) == 0);
    CHECK(stat("elsewhere/file", &status) == 0 && status.st_size == 1);
    CHECK((fd = open("elsewhere/file", O_RDONLY)) >= 0 && close(fd) == 0);
  }
  return unused;
}

int main(void) {
  in_thread(finds, NULL);
  return finish();
}
