// SPDX-License-Identifier: Apache-2.0
// Latencies in nanoseconds, kept in buckets whose width is at most 1/64 of their value: percentiles without a sample
// list.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weft::load {

class Histogram {
 public:
  void add(uint64_t value) {
    ++buckets_[index(value)];
    ++count_;
    if (value > max_) max_ = value;
  }
  void clear() { *this = Histogram(); }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  // The value that `share` (0 to 1) of the samples do not exceed.
  uint64_t percentile(double share) const {
    uint64_t wanted = static_cast<uint64_t>(share * static_cast<double>(count_)), seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return upper_edge(i) < max_ ? upper_edge(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr int kBits = 6;  // 64 buckets for each power of two

  static size_t index(uint64_t value) {
    if (value < (1u << kBits)) return value;
    int shift = std::bit_width(value) - 1 - kBits;
    return (static_cast<size_t>(shift + 1) << kBits) + ((value >> shift) & ((1u << kBits) - 1));
  }
  static uint64_t upper_edge(size_t i) {
    if (i < (1u << kBits)) return i;
    int shift = static_cast<int>(i >> kBits) - 1;
    return (((1ull << kBits) + (i & ((1u << kBits) - 1)) + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kBits + 1) << kBits> buckets_ = {};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace weft::load
