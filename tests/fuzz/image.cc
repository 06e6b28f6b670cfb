// SPDX-License-Identifier: Apache-2.0
// Records as a target. A module's file is its memory.
#include "image.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "tools/inspect/elf_image.h"

namespace weft::fuzz {
namespace {

using namespace weft::inspect;

class Image : public Target {
 public:
  explicit Image(Bytes bytes) : size_(bytes.size()) {
    while (bytes.size() >= sizeof(ImageRecord)) {
      ImageRecord record;
      memcpy(&record, bytes.data(), sizeof record);
      bytes = bytes.subspan(sizeof record);
      const Bytes content = bytes.first(std::min<size_t>(record.size, bytes.size()));
      bytes = bytes.subspan(content.size());
      take(record, (uint64_t)record.address_high << 32 | record.address_low, content);
    }
    std::stable_sort(mappings_.begin(), mappings_.end(),
                     [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
    modules_ = find_modules(*this);
  }

  Kind kind() const override { return Kind::core; }
  uint64_t size() const override { return size_; }
  std::string name() const override { return "image"; }
  using Target::read;
  void read(std::span<ReadRequest> requests) override {
    for (ReadRequest& request : requests) {
      request.got = 0;
      while (request.got < request.size) {
        const size_t got =
            piece(request.address + request.got, (char*)request.to + request.got, request.size - request.got);
        if (got == 0) break;
        request.got += got;
      }
    }
  }
  int open_module(const Module& module) override {
    constexpr uint64_t kMost = 1 << 20;
    if (module.end <= module.start) return -1;
    std::vector<uint8_t> file(std::min(module.end - module.start, kMost));
    ReadRequest request{module.start, file.data(), file.size()};
    read(std::span(&request, 1));
    return memory_file(Bytes(file).first(request.got));
  }
  std::vector<Thread> threads() override {
    std::vector<Thread> all;
    for (const auto& [tid, registers] : registers_) all.push_back({tid, "thread", 'S'});
    return all;
  }
  bool look_at(int tid, bool, const std::function<void(const Registers&, Found)>& look) override {
    auto found = registers_.find(tid);
    if (found == registers_.end()) return false;
    look(found->second.first, found->second.second);
    return true;
  }
  std::optional<uint64_t> now() override { return std::nullopt; }
  std::optional<Descriptor> descriptor(int) override { return std::nullopt; }

 private:
  struct Memory {
    uint64_t address;
    Bytes content;
  };

  void take(const ImageRecord& record, uint64_t address, Bytes content) {
    switch (record.kind) {
      case ImageKind::memory:
        memory_.push_back({address, content});
        return;
      case ImageKind::mapping: {
        constexpr size_t kFixed = 16;
        if (content.size() < kFixed) return;
        Mapping mapping;
        mapping.start = address;
        memcpy(&mapping.end, content.data(), 8);
        memcpy(&mapping.offset, content.data() + 8, 8);
        mapping.readable = record.flags & 1, mapping.writable = record.flags & 2, mapping.executable = record.flags & 4;
        mapping.path.assign((const char*)content.data() + kFixed, content.size() - kFixed);
        if (mapping.end > mapping.start) mappings_.push_back(std::move(mapping));
        return;
      }
      case ImageKind::registers: {
        Registers registers;
        for (unsigned i = 0; i < Registers::kCount && (i + 1) * 8 <= content.size(); i++) {
          uint64_t value;
          memcpy(&value, content.data() + i * 8, sizeof value);
          registers.set(i, value);
        }
        registers_[(int)address] = {registers, record.flags & 1 ? Found::stopped : Found::in_system_call};
      }
    }
  }

  size_t piece(uint64_t address, char* to, size_t size) const {
    for (auto memory = memory_.rbegin(); memory != memory_.rend(); ++memory) {
      const uint64_t skip = address - memory->address;
      if (skip >= memory->content.size()) continue;
      const size_t got = std::min<size_t>(size, memory->content.size() - skip);
      memcpy(to, memory->content.data() + skip, got);
      return got;
    }
    return 0;
  }

  uint64_t size_;
  std::vector<Memory> memory_;
  std::map<int, std::pair<Registers, Found>> registers_;
};

}  // namespace

std::unique_ptr<inspect::Target> open_image(Bytes bytes) { return std::make_unique<Image>(bytes); }

}  // namespace weft::fuzz
