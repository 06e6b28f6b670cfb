// SPDX-License-Identifier: Apache-2.0
// Flame graphs of stacks made up: what is merged, what is escaped, what adds up. That the SVG is well-formed XML flame_test.py asks a parser.
#include "tools/inspect/flame_graph.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace weft::inspect {
namespace {

const std::vector<WeightedStack> kStacks = {
    {{"main", "serve", "read"}, 3}, {{"main", "serve", "write"}, 1}, {{"main", "serve", "read"}, 2}};
const FlameText kText = {"a <title>", "coroutines", false};

size_t count(const std::string& words, const std::string& part) {
  size_t found = 0;
  for (size_t at = words.find(part); at != std::string::npos; at = words.find(part, at + 1)) found++;
  return found;
}

TEST(Folded, AddsUpWhatHasTheSameNames) { EXPECT_EQ(flame_folded(kStacks), "main;serve;read 5\nmain;serve;write 1\n"); }

TEST(Folded, KeepsItsSeparatorsOutOfNames) {
  EXPECT_EQ(flame_folded({{{"a;b", "c\nd"}, 1}, {{}, 2}}), "? 2\na:b;c d 1\n");
}

TEST(Svg, MergesCallersAndShowsTheirShares) {
  const std::string svg = flame_svg(kStacks, kText);
  EXPECT_EQ(count(svg, "<g class=\"f\""), 5u);  // all, main, serve, read, write
  EXPECT_NE(svg.find("<title>serve (6 coroutines, 100.00%)</title>"), std::string::npos);
  EXPECT_NE(svg.find("<title>read (5 coroutines, 83.33%)</title>"), std::string::npos);
  EXPECT_NE(svg.find("<title>a &lt;title&gt;</title>"), std::string::npos);
}

TEST(Svg, NeedsNothingFromElsewhere) {
  const std::string svg = flame_svg(kStacks, kText);
  EXPECT_EQ(svg.find("href"), std::string::npos);
  EXPECT_EQ(count(svg, "http"), 1u);  // the namespace
  EXPECT_EQ(count(svg, "]]>"), 1u);
}

TEST(Svg, OfNothing) { EXPECT_EQ(count(flame_svg({}, kText), "<g class=\"f\""), 1u); }

TEST(Svg, LeavesOutWhatNobodyWouldSee) {
  EXPECT_EQ(count(flame_svg({{{"wide"}, 1'000'000}, {{"narrow"}, 1}}, kText), "<g class=\"f\""), 2u);
}

TEST(XmlText, EscapesAndReplaces) {
  EXPECT_EQ(xml_text("operator<< & \"x\""), "operator&lt;&lt; &amp; &quot;x&quot;");
  EXPECT_EQ(xml_text("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(xml_text(std::string("\x01\xff\xc0\x80\xed\xa0\x80", 7)),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(xml_text("\xf0\x9f\x98"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Speedscope, WeightsBelongToSamples) {
  const auto document = nlohmann::json::parse(flame_speedscope(kStacks, {"t", "", true}));
  const auto& profile = document["profiles"][0];
  EXPECT_EQ(document["shared"]["frames"].size(), 4u);
  EXPECT_EQ(profile["samples"], nlohmann::json::parse("[[0,1,2],[0,1,3],[0,1,2]]"));
  EXPECT_EQ(profile["weights"], nlohmann::json::parse("[3,1,2]"));
  EXPECT_EQ(profile["endValue"], 6);
  EXPECT_EQ(profile["unit"], "nanoseconds");
}

TEST(Speedscope, TakesNamesThatAreNotUtf8) {
  EXPECT_TRUE(nlohmann::json::accept(flame_speedscope({{{"\xff"}, 1}}, kText)));
}

}  // namespace
}  // namespace weft::inspect
