// SPDX-License-Identifier: Apache-2.0
#include "bench/load/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace weft::load {
namespace {

constexpr uint32_t kConnections = 1000;
constexpr double kRate = 30'000;
constexpr double kPeriod = kConnections * 1e9 / kRate;

TEST(Schedule, GivesOutWhatIsDueInOrderAndEachConnectionsRequestsInTurn) {
  Schedule schedule(kConnections, kRate);
  std::vector<uint64_t> taken(kConnections);
  uint64_t before = 0;
  for (int i = 0; i < 50'000; ++i) {
    uint64_t next = schedule.next();
    ASSERT_GE(next, before);
    before = next;
    uint32_t connection = schedule.take();
    ASSERT_LT(connection, kConnections);
    ASSERT_EQ(schedule.due(connection, taken[connection]++), next);
  }
  for (uint64_t count : taken) ASSERT_EQ(count, 50u);
}

TEST(Schedule, OneConnectionIsDueOnceAPeriod) {
  Schedule schedule(kConnections, kRate);
  for (uint32_t connection : {0u, 1u, kConnections - 1}) {
    EXPECT_LT(static_cast<double>(schedule.due(connection, 0)), kPeriod);
    // However many there were, nothing adds up.
    for (uint64_t number : {uint64_t{1}, uint64_t{1000}, uint64_t{1'000'000}}) {
      auto since_first = static_cast<double>(schedule.due(connection, number) - schedule.due(connection, 0));
      EXPECT_NEAR(since_first, static_cast<double>(number) * kPeriod, 2);
    }
  }
}

TEST(Schedule, TheRateIsTheRequestedOneInEverySecond) {
  Schedule schedule(kConnections, kRate);
  uint64_t count = 0;
  for (uint64_t second = 1; second <= 5; ++second) {
    for (; schedule.next() < second * 1'000'000'000; ++count) schedule.take();
    EXPECT_EQ(count, second * static_cast<uint64_t>(kRate));
  }
}

TEST(Schedule, RequestsComeInClustersAndGapsTheSameInEveryRun) {
  Schedule schedule(kConnections, kRate), again(kConnections, kRate);
  uint64_t before = 0;
  int near = 0, far = 0;
  for (uint32_t i = 0; i < kConnections; ++i) {
    uint64_t next = schedule.next();
    ASSERT_EQ(again.next(), next);
    ASSERT_EQ(again.take(), schedule.take());
    auto gap = static_cast<double>(next - before) / (1e9 / kRate);
    near += gap < 0.1;
    far += gap > 2;
    before = next;
  }
  // Of independent clients 0.095 and 0.135 of the gaps are such.
  EXPECT_NEAR(near, 95, 40);
  EXPECT_NEAR(far, 135, 45);
}

}  // namespace
}  // namespace weft::load
