// SPDX-License-Identifier: Apache-2.0
#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace weft::load {
namespace {

constexpr uint64_t kMicrosecond = 1000, kLongest = 100'000'000'000;  // 100 s
constexpr double kError = 0.02;

TEST(Histogram, AValueIsFoundAgainWithinItsError) {
  for (uint64_t value = kMicrosecond; value <= kLongest; value += value / 50) {
    Histogram histogram;
    histogram.add(value);
    // The most is kept as it was; so that the bucket's edge shows, there is something above.
    histogram.add(2 * kLongest);
    auto found = static_cast<double>(histogram.percentile(0.49));
    ASSERT_GE(found, static_cast<double>(value));
    ASSERT_LE(found, static_cast<double>(value) * (1 + kError));
  }
}

TEST(Histogram, PercentilesAreThoseOfTheSortedSamples) {
  std::mt19937_64 random(3);
  std::vector<uint64_t> samples(20'001);
  Histogram histogram;
  for (uint64_t& sample : samples) {
    // As many in each power of two.
    sample = kMicrosecond + (random() >> (30 + random() % 24));
    histogram.add(sample);
  }
  std::sort(samples.begin(), samples.end());
  for (double share : {0.0, 0.5, 0.9, 0.99, 0.999}) {
    auto exact = static_cast<double>(samples[static_cast<size_t>(share * static_cast<double>(samples.size()))]);
    auto found = static_cast<double>(histogram.percentile(share));
    EXPECT_GE(found, exact) << share;
    EXPECT_LE(found, exact * (1 + kError)) << share;
  }
  EXPECT_EQ(histogram.percentile(1), samples.back());
  EXPECT_EQ(histogram.max(), samples.back());
  EXPECT_EQ(histogram.count(), samples.size());
}

TEST(Histogram, EmptyOneHasNothing) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(0.99), 0u);
  histogram.add(kLongest);
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

}  // namespace
}  // namespace weft::load
