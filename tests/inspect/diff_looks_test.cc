// SPDX-License-Identifier: Apache-2.0
// What two looks made up differ in.
#include "tools/inspect/diff_looks.h"

#include <gtest/gtest.h>

namespace weft::inspect {
namespace {

DiffCoroutine at(uint32_t id, uint32_t sequence, const char* place, uint64_t waited = 0) {
  return {id, sequence, true, waited, {"main", place}};
}
std::vector<uint32_t> ids(const std::vector<DiffPlace>& places) {
  std::vector<uint32_t> all;
  for (const DiffPlace& place : places) all.insert(all.end(), place.ids.begin(), place.ids.end());
  return all;
}
using Ids = std::vector<uint32_t>;

TEST(Difference, StuckAreThoseThatWereNotSwitchedTo) {
  const Difference found = difference({at(1, 2, "read"), at(2, 4, "read"), at(3, 6, "lock")},
                                      {at(1, 2, "read", 5), at(2, 6, "read"), at(3, 6, "lock", 9)});
  EXPECT_EQ(ids(found.stuck), (Ids{3, 1}));  // the longest wait first
  EXPECT_TRUE(found.grown.empty());
  EXPECT_TRUE(found.gone.empty());
}

TEST(Difference, GrownArePlacesWithMoreAndTheirNewOnes) {
  const Difference found = difference({at(1, 2, "read")}, {at(1, 4, "read"), at(5, 2, "read"), at(6, 2, "read")});
  ASSERT_EQ(found.grown.size(), 1u);
  EXPECT_EQ(found.grown[0].ids, (Ids{5, 6}));
  EXPECT_EQ(found.grown[0].before, 1u);
  EXPECT_EQ(found.grown[0].after, 3u);
  EXPECT_EQ(found.made, 2u);
}

TEST(Difference, AnExchangeOfOneForAnotherIsNoGrowth) {
  const Difference found = difference({at(1, 2, "read")}, {at(2, 2, "read")});
  EXPECT_TRUE(found.grown.empty());
  EXPECT_EQ(ids(found.gone), Ids{1});
  EXPECT_EQ(found.ended, 1u);
}

TEST(Difference, OneThatRanThereIsNotStuck) {
  DiffCoroutine running = at(1, 3, "compute");
  running.is_parked = false;
  EXPECT_TRUE(difference({running}, {running}).stuck.empty());
}

TEST(Difference, OfNothing) { EXPECT_TRUE(difference({}, {}).stuck.empty()); }

}  // namespace
}  // namespace weft::inspect
