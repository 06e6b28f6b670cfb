// SPDX-License-Identifier: Apache-2.0
// The sockets of a network namespace by their inodes, as /proc/PID/net tells them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "target.h"

namespace weft::inspect {

class Sockets {
 public:
  explicit Sockets(int pid) : pid_(pid) {}
  // Fills kind, local and peer, from tables that are read again when they have become old.
  void describe(uint64_t inode, Descriptor* to);

 private:
  void read_internet(const char* table);
  void read_unix();

  int pid_;
  uint64_t read_at_ = 0;  // CLOCK_MONOTONIC, 0: never
  std::map<uint64_t, Descriptor> by_inode_;
};

}  // namespace weft::inspect
