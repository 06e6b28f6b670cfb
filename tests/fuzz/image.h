// SPDX-License-Identifier: Apache-2.0
// A target made of an input's bytes, which are records, each with the 12 bytes of ImageRecord in front of its content:
//   memory     what lies at `address`
//   mapping    begins at `address`; content: its end, its offset in the file (uint64_t each), its path; flags: 1 readable, 2 writable,
//              4 executable
//   registers  `address` is the thread's id; content: their values by their DWARF numbers; flags: 1 it was stopped
//
// What is cut short ends the image. Records lie over one another: the last one that has an address is read.
#pragma once

#include <memory>

#include "harness.h"

namespace weft::fuzz {

enum class ImageKind : uint8_t { memory, mapping, registers };

struct ImageRecord {
  ImageKind kind;
  uint8_t flags;
  uint16_t size;
  uint32_t address_low, address_high;
};

// `bytes` outlive it.
std::unique_ptr<inspect::Target> open_image(Bytes bytes);

}  // namespace weft::fuzz
