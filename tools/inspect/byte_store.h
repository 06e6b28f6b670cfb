// SPDX-License-Identifier: Apache-2.0
// Memory for many copies that live as long as a look: handed out piece by piece, never moved, given back at once. In large pages where the
// kernel has them: 60 MB of stacks in small ones are 15,000 page faults, which cost more than the copying.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace weft::inspect {

class ByteStore {
 public:
  ByteStore() = default;
  ByteStore(ByteStore&& other) noexcept
      : chunks_(std::exchange(other.chunks_, {})), left_(std::exchange(other.left_, 0)) {}
  ByteStore& operator=(ByteStore&& other) noexcept {
    std::swap(chunks_, other.chunks_);
    std::swap(left_, other.left_);
    return *this;
  }
  ~ByteStore() {
    for (const auto& [memory, size] : chunks_) munmap(memory, size);
  }

  char* take(size_t size) {
    if (size > left_ || chunks_.empty()) grow(size);
    auto& [memory, total] = chunks_.back();
    char* piece = memory + (total - left_);
    left_ -= std::min(left_, (size + 15) & ~size_t{15});
    return piece;
  }
  // The end of what was taken last.
  void give_back(size_t size) { left_ += size & ~size_t{15}; }

 private:
  void grow(size_t size) {
    constexpr size_t kChunk = 4 << 20, kLarge = 2 << 20;
    const size_t total = std::max(kChunk, (size + kLarge - 1) & ~(kLarge - 1));
    // One large page more than wanted, so that what is handed out begins at the boundary of one.
    char* memory = (char*)mmap(nullptr, total + kLarge, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    char* begin = (char*)(((uintptr_t)memory + kLarge - 1) & ~(uintptr_t)(kLarge - 1));
    if (begin != memory) munmap(memory, (size_t)(begin - memory));
    if (memory + kLarge != begin) munmap(begin + total, (size_t)(memory + kLarge - begin));
    madvise(begin, total, MADV_HUGEPAGE);
    chunks_.emplace_back(begin, total);
    left_ = total;
  }

  std::vector<std::pair<char*, size_t>> chunks_;
  size_t left_ = 0;  // of the last one
};

}  // namespace weft::inspect
