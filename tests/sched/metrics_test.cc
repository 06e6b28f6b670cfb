// SPDX-License-Identifier: Apache-2.0
#include "sched/metrics.h"

#include <cerrno>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>

#include "messages.h"
#include "sched/options.h"
#include "sched/runtime.h"

namespace weft {
namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(Metrics, CountsOfManyThreadsAddUp) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([] {
      for (int k = 0; k < 10000; k++) count(Metric::guest_parks);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total(Metric::guest_parks), 40000u);
}

TEST(Metrics, FileHasEveryCounterInTheOrderOfTheList) {
  std::string path = testing::TempDir() + "weft_metrics_test." + std::to_string(getpid());
  options.stats = path.c_str();
  metrics_reset();
  count(Metric::coroutines_created, 3);
  write_stats();
  write_stats();  // once a process
  std::vector<std::string> lines = lines_of(path);
  std::vector<std::string> expected = {"weft stats pid=" + std::to_string(getpid()) +
                                       " exe=" + program_invocation_short_name};
#define WEFT_METRIC(name, text) expected.push_back(#name " " + std::to_string(total(Metric::name)));
#include "sched/metrics.def"
#undef WEFT_METRIC
  EXPECT_EQ(lines, expected);
  EXPECT_EQ(lines[1], "coroutines_created 3");
  unlink(path.c_str());
}

TEST(Metrics, TableGoesToDescriptor2) {
  options.stats = "1";
  metrics_reset();
  count(Metric::coroutines_created);
  Messages messages;
  write_stats();
  std::string text = messages.text();
  EXPECT_EQ(text.rfind("weft: counters of ", 0), 0u) << text;
  EXPECT_NE(text.find("coroutines_created"), std::string::npos);
}

TEST(Metrics, NothingUnlessItIsWanted) {
  for (const char* value : {(const char*)nullptr, "0", "no"}) {
    options.stats = value;
    Messages messages;
    write_stats();
    EXPECT_EQ(messages.text(), "");
  }
}

TEST(Metrics, AForkChildBeginsAnewAndIsSilentUntilItWeaves) {
  options.stats = "yes";
  count(Metric::coroutines_created);
  metrics_reset();
  EXPECT_EQ(total(Metric::coroutines_created), 0u);
  Messages nothing;
  write_stats();
  EXPECT_EQ(nothing.text(), "");
  count(Metric::coroutines_created);
  Messages something;
  write_stats();
  EXPECT_NE(something.text(), "");
}

TEST(MetricsDeathTest, ADeadlySignalWritesFirst) {
  EXPECT_EXIT(
      {
        std::string path = testing::TempDir() + "weft_metrics_death";
        static std::string kept;
        kept = path;
        unlink(path.c_str());
        options.stats = kept.c_str();
        real_calls.sigaction = [](int signal, const void* action, void* old) {
          return sigaction(signal, (const struct sigaction*)action, (struct sigaction*)old);
        };
        stats_signals_init();
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
  std::string path = testing::TempDir() + "weft_metrics_death";
  EXPECT_FALSE(lines_of(path).empty());
  unlink(path.c_str());
}

}  // namespace
}  // namespace weft
