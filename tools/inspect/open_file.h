// SPDX-License-Identifier: Apache-2.0
// An open file with its size. Read by pread, not mapped: a file that others cut short while it is read would end us by SIGBUS.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace weft::inspect {

class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(int fd) : fd_(fd) {
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0) size_ = (uint64_t)status.st_size;
  }
  OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  uint64_t size() const { return size_; }
  // How many of the bytes there were.
  size_t read(uint64_t offset, void* to, size_t size) const {
    size_t got = 0;
    while (got < size) {
      const ssize_t n = pread(fd_, (char*)to + got, size - got, (off_t)(offset + got));
      if (n <= 0) break;
      got += (size_t)n;
    }
    return got;
  }

 private:
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace weft::inspect
