// SPDX-License-Identifier: Apache-2.0
// How libFuzzer changes these inputs. Its own mutations insert and remove bytes, after which no offset in a binary file is right any more; so
// most of the time words are changed where they stand, to others of the same file, which are addresses and sizes. A snapshot's description
// is changed as the text it is, and its length put right.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "tools/inspect/snapshot_format.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed);

namespace {

using weft::inspect::SnapshotHeader;
using Random = std::minstd_rand;

size_t below(Random& random, size_t bound) { return bound == 0 ? 0 : random() % bound; }

void change_word(uint8_t* data, size_t size, Random& random) {
  constexpr uint64_t kEdges[] = {
      0,          1,      ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, 0xffffffff, 0x80000000u,
      0x7fffffff, 0xffff, 4096};
  const size_t width = size_t{1} << below(random, 4);
  if (size < 8) return;
  const size_t at = below(random, size - 7) & ~(width - 1), from = below(random, size - 7) & ~size_t{3};
  uint64_t word;
  memcpy(&word, data + at, sizeof word);
  switch (below(random, 5)) {
    case 0:
      word = kEdges[below(random, std::size(kEdges))];
      break;
    case 1:
      memcpy(&word, data + from, sizeof word);
      break;
    case 2:
      word += below(random, 65) - 32;
      break;
    case 3:
      word += (below(random, 65) - 32) * 8;
      break;
    default:
      word ^= uint64_t{1} << below(random, width * 8);
  }
  memcpy(data + at, &word, width);
}

// Bytes as libFuzzer would have them, where they stand.
void change_window(uint8_t* data, size_t size, Random& random) {
  uint8_t window[32];
  const size_t length = std::min(size, 1 + below(random, sizeof window));
  uint8_t* const at = data + below(random, size - length + 1);
  memcpy(window, at, length);
  memcpy(at, window, LLVMFuzzerMutate(window, length, length));
}

void change_in_place(uint8_t* data, size_t size, Random& random) {
  if (size == 0) return;
  for (size_t times = 1 + below(random, 4); times-- > 0;) {
    if (below(random, 3) == 0) {
      change_window(data, size, random);
    } else {
      change_word(data, size, random);
    }
  }
}

size_t change_description(uint8_t* data, size_t size, size_t most, Random& random) {
  SnapshotHeader header;
  memcpy(&header, data, sizeof header);
  uint8_t* const begin = data + sizeof header;
  const size_t behind = size - sizeof header - header.description;
  const std::vector<uint8_t> extents(data + size - behind, data + size);
  header.description = (uint32_t)LLVMFuzzerMutate(begin, header.description, most - sizeof header - behind);
  memcpy(data, &header, sizeof header);
  std::copy(extents.begin(), extents.end(), begin + header.description);
  return sizeof header + header.description + behind;
}

}  // namespace

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  Random random(seed);
  const size_t choice = below(random, 8);
  if (choice == 0) return LLVMFuzzerMutate(data, size, most);
  SnapshotHeader header;
  if (size < sizeof header || size > most || memcmp(data, weft::inspect::kSnapshotMagic, 8) != 0) {
    change_in_place(data, size, random);
    return size;
  }
  memcpy(&header, data, sizeof header);
  if (header.description > size - sizeof header || choice == 1) {
    change_in_place(data, size, random);
  } else if (choice < 4) {
    return change_description(data, size, most, random);
  } else {
    const size_t extents = sizeof header + header.description;
    change_in_place(data + extents, size - extents, random);
  }
  return size;
}
