// SPDX-License-Identifier: Apache-2.0
// What of a target that goes on running is in the snapshot of it: the last of each byte until slots and stacks are settled, then the first.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tools/inspect/snapshot.h"

namespace weft::inspect {
namespace {

// One page whose bytes are all the same, and change.
class Changing : public Target {
 public:
  static constexpr uint64_t kBegin = 0x10000, kEnd = 0x11000;
  static inline char value;
  static inline Registers registers;

  Kind kind() const override { return Kind::process; }
  std::string name() const override { return "one that changes"; }
  using Target::read;
  void read(std::span<ReadRequest> requests) override {
    for (ReadRequest& request : requests) {
      const bool inside = request.address >= kBegin && request.address < kEnd;
      request.got = inside ? std::min<uint64_t>(request.size, kEnd - request.address) : 0;
      memset(request.to, value, request.got);
    }
  }
  int open_module(const Module&) override { return -1; }
  std::vector<Thread> threads() override { return {{7, "seven", 'R'}, {8, "eight", 'R'}}; }
  bool look_at(int, bool, const std::function<void(const Registers&, Found)>& look) override {
    look(registers, Found::stopped);
    return true;
  }
  std::optional<uint64_t> now() override { return 1; }
  std::optional<Descriptor> descriptor(int) override { return std::nullopt; }
};

class Recording : public testing::Test {
 protected:
  Recording() : recorder(std::make_unique<Changing>()) {}
  ~Recording() override { unlink(path.c_str()); }

  void read(uint64_t from, size_t size, char value) {
    Changing::value = value;
    std::string bytes(size, 0);
    ASSERT_TRUE(recorder.read(from, bytes.data(), size));
    EXPECT_EQ(bytes, std::string(size, value));
  }
  std::unique_ptr<Target> written() {
    recorder.threads();
    recorder.write(path, false);
    return open_snapshot(open(path.c_str(), O_RDONLY | O_CLOEXEC), path, {});
  }
  static std::string bytes_of(Target& target, uint64_t from, size_t size) {
    std::string bytes(size, 0);
    EXPECT_TRUE(target.read(from, bytes.data(), size));
    return bytes;
  }

  Recorder recorder;
  std::string path = testing::TempDir() + "recorder_test." + std::to_string(getpid());
};

TEST_F(Recording, WhatIsReadAgainIsReplaced) {
  read(0x10010, 8, 'a');
  read(0x10014, 8, 'b');
  EXPECT_EQ(bytes_of(*written(), 0x10010, 12), "aaaabbbbbbbb");
}

TEST_F(Recording, WhatIsSettledStays) {
  read(0x10010, 8, 'a');
  recorder.settle();
  read(0x1000c, 16, 'b');
  EXPECT_EQ(bytes_of(*written(), 0x1000c, 16), "bbbbaaaaaaaabbbb");
}

TEST_F(Recording, WhatIsAmendedDoesNot) {
  read(0x10010, 8, 'a');
  recorder.settle();
  recorder.amend(0x10012, std::span("xy", 2));
  EXPECT_EQ(bytes_of(*written(), 0x10010, 8), "aaxyaaaa");
}

TEST_F(Recording, DiscardedRegistersAreNotKept) {
  for (int tid : {7, 8}) EXPECT_TRUE(recorder.look_at(tid, true, [](const Registers&, Found) {}));
  recorder.discard(7);
  auto snapshot = written();
  EXPECT_FALSE(snapshot->look_at(7, true, [](const Registers&, Found) {}));
  EXPECT_TRUE(snapshot->look_at(8, true, [](const Registers&, Found) {}));
}

}  // namespace
}  // namespace weft::inspect
