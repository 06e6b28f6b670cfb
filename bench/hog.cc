// SPDX-License-Identifier: Apache-2.0
// A neighbour that leaves nothing over: computes without a pause, or writes to a disk and waits for it, until its time
// is up or it is stopped.
//
// Usage: hog cpu SECONDS | hog disk SECONDS MEGABYTES DIRECTORY. The second writes at most so much in all, over and over
// into one file that has no name, so that nothing of it stays. Prints "hogging" once it begins. Exit status: 0 the time
// was up, 1 an error, or the bytes were.
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "compute.h"

namespace {

constexpr long kSteps = 10'000;                // between looks at the clock
constexpr size_t kPiece = 256 * 1024;          // written, then waited for
constexpr off_t kFileSize = 64 * 1024 * 1024;  // before it begins at the front again

void say_it_begins() {
  printf("hogging\n");
  fflush(stdout);
}

int hog_cpu(int64_t end) {
  say_it_begins();
  while (now_ns() < end) compute(kSteps);
  return 0;
}

int hog_disk(int64_t end, long megabytes, const char* directory) {
  int fd = open(directory, O_TMPFILE | O_WRONLY, 0600);
  if (fd < 0) {
    perror("hog: open");
    return 1;
  }
  say_it_begins();
  std::vector<char> piece(kPiece, 'w');
  off_t at = 0;
  for (int64_t left = int64_t{megabytes} * 1024 * 1024; now_ns() < end; left -= kPiece) {
    if (left <= 0) {
      fputs("hog: the bytes are used up\n", stderr);
      return 1;
    }
    if (pwrite(fd, piece.data(), kPiece, at) != static_cast<ssize_t>(kPiece) || fsync(fd) != 0) {
      perror("hog: writing");
      return 1;
    }
    at = (at + static_cast<off_t>(kPiece)) % kFileSize;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int64_t end = argc > 2 ? now_ns() + atol(argv[2]) * 1'000'000'000 : 0;
  if (argc == 3 && strcmp(argv[1], "cpu") == 0) return hog_cpu(end);
  if (argc == 5 && strcmp(argv[1], "disk") == 0) return hog_disk(end, atol(argv[3]), argv[4]);
  fputs("usage: hog cpu SECONDS | hog disk SECONDS MEGABYTES DIRECTORY\n", stderr);
  return 2;
}
