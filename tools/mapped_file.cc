// SPDX-License-Identifier: Apache-2.0
// Opens and maps a file without ever waiting for it: a FIFO, a device or a directory is an error.
#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr uint64_t kLargestFile = 1UL << 40;  // keeps the sum of two offsets into a file far from overflow

}  // namespace

MappedFile::MappedFile(const char* path) {
  // O_NONBLOCK: the name may be a FIFO by now, whatever stat(2) said before.
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) {
    error_ = errno;
  } else if (!S_ISREG(status.st_mode)) {
    error_ = S_ISDIR(status.st_mode) ? EISDIR : EACCES;
  } else if (static_cast<uint64_t>(status.st_size) > kLargestFile) {
    error_ = EFBIG;
  } else if (status.st_size > 0) {
    void* start = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED) {
      error_ = errno;
    } else {
      bytes_ = std::string_view(static_cast<const char*>(start), static_cast<size_t>(status.st_size));
    }
  }
  if (fd >= 0) close(fd);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

bool MappedFile::begins_with(std::string_view magic) const {
  return bytes_.size() >= magic.size() && memcmp(bytes_.data(), magic.data(), magic.size()) == 0;
}

bool MappedFile::read(uint64_t offset, void* to, size_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) return false;
  memcpy(to, bytes_.data() + offset, size);
  return true;
}

const char* MappedFile::string_at(uint64_t offset, uint64_t end) const {
  if (end > bytes_.size()) end = bytes_.size();
  if (offset >= end) return nullptr;
  const char* start = bytes_.data() + offset;
  return memchr(start, '\0', end - offset) == nullptr ? nullptr : start;
}

}  // namespace weft
