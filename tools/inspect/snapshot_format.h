// SPDX-License-Identifier: Apache-2.0
// The fixed parts of a snapshot's file, for its writer and its reader.
#pragma once

#include <cstdint>

namespace weft::inspect {

constexpr char kSnapshotMagic[8] = {'w', 'e', 'f', 't', 's', 'n', 'a', 'p'};
constexpr uint16_t kSnapshotMajor = 1;
constexpr uint16_t kSnapshotMinor = 1;  // 1: oneInstant, lowestPages

struct SnapshotHeader {
  char magic[8];
  uint16_t major;
  uint16_t minor;
  uint32_t description;  // bytes of JSON that follow
};

struct SnapshotExtent {
  uint64_t address;
  uint64_t size;  // bytes that follow
};

}  // namespace weft::inspect
