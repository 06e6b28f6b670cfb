// SPDX-License-Identifier: Apache-2.0
// Memory as an unwinder sees it: the copied stack first, behind it pages of the target that are read once. Those are code and unwind
// tables, which do not change while a look lasts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <unordered_map>

#include "elf_image.h"
#include "target.h"

namespace weft::inspect {

class FrameMemory {
 public:
  explicit FrameMemory(Target& target) : target_(target) {}

  void set_stack(uint64_t low, std::span<const char> bytes) {
    low_ = low;
    stack_ = bytes;
  }
  bool word(uint64_t address, uint64_t* value) {
    // The difference, not the sum: that may pass the end of the address space.
    if (address >= low_ && address - low_ < stack_.size() && stack_.size() - (address - low_) >= sizeof *value) {
      memcpy(value, stack_.data() + (address - low_), sizeof *value);
      return true;
    }
    return bytes(address, value, sizeof *value);
  }
  bool bytes(uint64_t address, void* to, size_t size) {
    while (size != 0) {
      const Page* page = page_at(address & ~(kPage - 1));
      const size_t at = address & (kPage - 1), piece = std::min<size_t>(size, kPage - at);
      if (page == nullptr || page->size < at + piece) return false;
      memcpy(to, page->bytes + at, piece);
      to = (char*)to + piece;
      address += piece;
      size -= piece;
    }
    return true;
  }

 private:
  struct Page {
    size_t size = 0;
    char bytes[kPage];
  };
  const Page* page_at(uint64_t address) {
    if (address == last_address_ && last_ != nullptr) return last_;
    std::unique_ptr<Page>& page = pages_[address];
    if (page == nullptr) {
      // Registers of a damaged stack may lead anywhere; what is kept of it is bounded.
      constexpr size_t kMaxPages = 64 << 10;
      if (pages_.size() > kMaxPages) {
        pages_.clear();
        last_ = nullptr;
        return page_at(address);
      }
      page = std::make_unique<Page>();
      ReadRequest request{address, page->bytes, kPage};
      target_.read(std::span(&request, 1));
      page->size = request.got;
    }
    last_address_ = address;
    last_ = page.get();
    return last_;
  }

  Target& target_;
  uint64_t low_ = 0;
  std::span<const char> stack_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
  uint64_t last_address_ = 0;
  const Page* last_ = nullptr;
};

}  // namespace weft::inspect
