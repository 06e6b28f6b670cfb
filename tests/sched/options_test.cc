// SPDX-License-Identifier: Apache-2.0
#include "sched/options.h"

#include <gtest/gtest.h>

#include "messages.h"

namespace weft {
namespace {

std::string read_options(std::vector<std::string> variables) {
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  Messages messages;
  options_read(environment.data());
  // The texts are copies: what the environment becomes later does not matter.
  for (std::string& variable : variables) std::fill(variable.begin(), variable.end(), '?');
  return messages.text();
}

TEST(Options, DefaultsAreThoseOfTheList) {
  EXPECT_EQ(read_options({"PATH=/bin", "WEFTY=1"}), "");
  EXPECT_TRUE(options.children);
  EXPECT_FALSE(options.disable);
  EXPECT_EQ(options.max_regions, 64u);
  EXPECT_EQ(options.workers, 0u);
  EXPECT_EQ(options.stats, nullptr);
  EXPECT_EQ(options.log, nullptr);
}

TEST(Options, ValuesOfEachKind) {
  EXPECT_EQ(
      read_options({"WEFT_WORKERS=4", "WEFT_CHILDREN=no", "WEFT_DISABLE=1", "WEFT_STATS=/tmp/s", "WEFT_EXCLUDE=a*,b"}),
      "");
  EXPECT_EQ(options.workers, 4u);
  EXPECT_FALSE(options.children);
  EXPECT_TRUE(options.disable);
  EXPECT_STREQ(options.stats, "/tmp/s");
  EXPECT_STREQ(options.exclude, "a*,b");
}

TEST(Options, SizesTakeUnits) {
  for (auto [text, bytes] : std::vector<std::pair<const char*, uint64_t>>{{"65536", 65536},
                                                                          {"64K", 65536},
                                                                          {"64k", 65536},
                                                                          {"2M", 2 << 20},
                                                                          {"1G", 1 << 30},
                                                                          {"1024G", uint64_t{1} << 40}}) {
    EXPECT_EQ(read_options({std::string("WEFT_STACK=") + text}), "") << text;
    EXPECT_EQ(options.stack, bytes) << text;
  }
}

TEST(Options, WrongValuesAreSaidAndLeaveTheDefault) {
  EXPECT_EQ(read_options({"WEFT_WORKERS=four"}),
            "weft: WEFT_WORKERS: 'four' is not a whole number, like 4; it is ignored\n");
  EXPECT_EQ(options.workers, 0u);
  for (const char* variable :
       {"WEFT_WORKERS=", "WEFT_WORKERS=-1", "WEFT_WORKERS=4x", "WEFT_WORKERS=1000001",
        "WEFT_WORKERS=99999999999999999999", "WEFT_STACK=64KB", "WEFT_STACK=K", "WEFT_STACK=1025G",
        "WEFT_STACK=18446744073709551615G", "WEFT_CHILDREN=maybe", "WEFT_DISABLE=perhaps"}) {
    EXPECT_NE(read_options({variable}), "") << variable;
    EXPECT_EQ(options.workers, 0u);
    EXPECT_EQ(options.stack, 0u);
    EXPECT_TRUE(options.children);
    EXPECT_FALSE(options.disable);
  }
}

TEST(Options, OneOfAFewWords) {
  EXPECT_EQ(read_options({"WEFT_FILES=region", "WEFT_GUARDS=mprotect"}), "");
  EXPECT_EQ(options.files, FileWay::region);
  EXPECT_EQ(options.guards, GuardWay::mprotect);
  EXPECT_EQ(read_options({"WEFT_GUARDS=install"}),
            "weft: WEFT_GUARDS: 'install' is none of auto|mprotect; it is ignored\n");
  EXPECT_EQ(options.guards, GuardWay::automatic);
  EXPECT_EQ(read_options({"WEFT_FILES=disk"}),
            "weft: WEFT_FILES: 'disk' is none of uring|region|auto; it is ignored\n");
  EXPECT_EQ(options.files, FileWay::automatic);
}

TEST(Options, TextsBeyondTheRoomAreRefused) {
  std::string said = read_options({"WEFT_STATS=" + std::string(9000, 'x'), "WEFT_LOG=debug"});
  EXPECT_NE(said.find("WEFT_STATS: 'xxx"), std::string::npos);
  EXPECT_EQ(options.stats, nullptr);
  EXPECT_STREQ(options.log, "debug");
}

TEST(Options, UnknownNamesGetTheNearestOne) {
  EXPECT_EQ(read_options({"WEFT_WORKER=4"}), "weft: WEFT_WORKER is no option of weft; did you mean WEFT_WORKERS?\n");
  EXPECT_EQ(read_options({"WEFT_STAK=64K"}), "weft: WEFT_STAK is no option of weft; did you mean WEFT_STACK?\n");
  EXPECT_EQ(read_options({"WEFT_ZZZZZZZZZZ=1"}),
            "weft: WEFT_ZZZZZZZZZZ is no option of weft; 'weft --help' lists them\n");
  EXPECT_NE(read_options({"WEFT_" + std::string(300, 'A') + "=1"}), "");
}

TEST(Options, WeftsOwnVariablesAreNoOptions) { EXPECT_EQ(read_options({"WEFT_ROOT=17", "WEFT_CHAOS=3"}), ""); }

TEST(Options, PatternsOfAList) {
  EXPECT_TRUE(matches_any("bash,git*", "git-upload"));
  EXPECT_TRUE(matches_any("bash,git*", "bash"));
  EXPECT_FALSE(matches_any("bash,git*", "bas"));
  EXPECT_FALSE(matches_any("", "bash"));
  EXPECT_FALSE(matches_any(nullptr, "bash"));
  EXPECT_FALSE(matches_any("a,,b", ""));
  EXPECT_FALSE(matches_any(std::string(1000, 'a').c_str(), "a"));
}

}  // namespace
}  // namespace weft
