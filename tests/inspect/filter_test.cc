// SPDX-License-Identifier: Apache-2.0
// The language of --where: what it means, and that what it does not understand is refused.
#include "filter.h"

#include <gtest/gtest.h>

#include <map>

#include "failure.h"
#include "number_text.h"
#include "pattern.h"

namespace weft::inspect {
namespace {

const std::vector<std::string> kNames = {"state", "wait", "since", "stack", "frame", "fd"};

bool matches(const std::string& words) {
  const std::map<std::string, Value> row = {{"state", {std::nullopt, "parked", true}},
                                            {"wait", {std::nullopt, "rwlock read", true}},
                                            {"since", {6e9, "6s", true}},
                                            {"stack", {65536., "64K", true}},
                                            {"frame", {std::nullopt, "\nmain\nf(int)\n", true}},
                                            {"fd", {std::nullopt, "", false}}};
  return Filter::parse(words, kNames).matches([&](const std::string& name) { return row.at(name); });
}

int refused(const std::string& words) {
  try {
    Filter::parse(words, kNames);
  } catch (const Failure& failure) {
    return failure.exit();
  }
  return 0;
}

TEST(Filter, compares) {
  EXPECT_TRUE(matches("state=parked"));
  EXPECT_FALSE(matches("state != parked"));
  EXPECT_TRUE(matches("since>5s"));
  EXPECT_TRUE(matches("since>=6s and since<=6000ms"));
  EXPECT_FALSE(matches("since<6s"));
  EXPECT_TRUE(matches("stack=64K"));
  EXPECT_TRUE(matches("wait='rwlock read'"));
  EXPECT_TRUE(matches("frame~^main|other"));
  EXPECT_TRUE(matches("frame~f\\(int\\)"));
  EXPECT_TRUE(matches("frame!~nothing"));
}

TEST(Filter, binds_and_before_or) {
  EXPECT_TRUE(matches("state=parked or state=ready and since>1h"));
  EXPECT_FALSE(matches("(state=parked or state=ready) and since>1h"));
  EXPECT_TRUE(matches("not state=ready and not (since>1h or stack>1M)"));
  EXPECT_TRUE(matches("(frame~(main) and state=parked)"));
}

TEST(Filter, of_what_is_not_known_nothing_holds) {
  EXPECT_FALSE(matches("fd=0"));
  EXPECT_FALSE(matches("fd!=0"));
  EXPECT_TRUE(matches("not fd=0"));
}

TEST(Filter, refuses) {
  for (const char* words : {"", "colour=1", "state", "state=", "state=a state=b", "(state=a", "state=a)", "since>soon",
                            "frame~[", "not", "state = 'a", "and", "state=a and"}) {
    EXPECT_EQ(refused(words), kUsage) << words;
  }
  EXPECT_EQ(refused(std::string(100000, '(')), kUsage);
  // Patterns that would take memory or time without end.
  for (const char* words : {"frame~((a{0,255}){0,255}){0,255}", "frame~(a*)(a*)\\1\\2b"})
    EXPECT_EQ(refused(words), kUsage) << words;
  EXPECT_EQ(refused("frame~^(read|write)+_[a-z]{2,30}[(]?$"), 0);
  EXPECT_EQ(refused("state=a"), 0);
}

TEST(Pattern, matches_lines) {
  std::string why;
  const auto pattern = Pattern::make("^b+$", &why);
  ASSERT_NE(pattern, nullptr) << why;
  EXPECT_TRUE(pattern->found_in("a\nbb\nc"));
  EXPECT_FALSE(pattern->found_in("a\nabb\nbbc"));
  // As long as names of templates can be: it takes no stack for each character.
  EXPECT_FALSE(Pattern::make("(a|b)*c", &why)->found_in(std::string(50'000, 'a')));
}

TEST(Filter, knows_what_it_uses) {
  const Filter filter = Filter::parse("not (since>1s or fd=3)", kNames);
  EXPECT_TRUE(filter.uses("fd"));
  EXPECT_FALSE(filter.uses("frame"));
}

TEST(Numbers, carry_units) {
  EXPECT_EQ(parse_number("5"), 5);
  EXPECT_EQ(parse_number("5ms"), 5e6);
  EXPECT_EQ(parse_number("1.5s"), 1.5e9);
  EXPECT_EQ(parse_number("2m"), 120e9);
  EXPECT_EQ(parse_number("1K"), 1024);
  EXPECT_EQ(parse_number("0x10"), 16);
  for (const char* word : {"", "s", "5x", "inf", "nan", "five"}) EXPECT_FALSE(parse_number(word)) << word;
}

TEST(Numbers, are_shown_short) {
  EXPECT_EQ(duration_text(999), "999ns");
  EXPECT_EQ(duration_text(1'500'000), "2ms");
  EXPECT_EQ(duration_text(1'500'000'000), "1.5s");
  EXPECT_EQ(duration_text(200'000'000'000), "3m20s");
  EXPECT_EQ(duration_text(90'000ull * 1'000'000'000), "1d01h");
  EXPECT_EQ(size_text(1000), "1000");
  EXPECT_EQ(size_text(12'600), "12.3K");
  EXPECT_EQ(coroutines_text(1), "1 coroutine");
  EXPECT_EQ(coroutines_text(12345), "12,345 coroutines");
}

}  // namespace
}  // namespace weft::inspect
