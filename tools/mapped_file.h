// SPDX-License-Identifier: Apache-2.0
// A regular file in memory, read-only, with reads that cannot leave it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

namespace weft {

class MappedFile {
 public:
  explicit MappedFile(const char* path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  int error() const { return error_; }  // an errno; 0: bytes() are there, though there may be none
  std::string_view bytes() const { return bytes_; }
  uint64_t size() const { return bytes_.size(); }

  // Not std::string_view's own starts_with, which leaves a throw behind where the compiler does not optimise.
  bool begins_with(std::string_view magic) const;

  // Copies, because a file may place its structures at any alignment. False: the file is not that long.
  bool read(uint64_t offset, void* to, size_t size) const;

  // The string that begins at `offset` and ends, with its NUL, before `end`; null: none.
  const char* string_at(uint64_t offset, uint64_t end) const;

 private:
  int error_ = 0;
  std::string_view bytes_;
};

}  // namespace weft
