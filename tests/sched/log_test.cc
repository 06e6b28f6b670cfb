// SPDX-License-Identifier: Apache-2.0
#include "sched/log.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/socket.h>

#include "messages.h"
#include "sched/options.h"

namespace weft {
namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char* form, ...) {
  char buffer[128];
  va_list list;
  va_start(list, form);
  unsigned length = format_line(buffer, sizeof buffer, form, list);
  va_end(list);
  EXPECT_EQ(buffer[length], 0);
  return {buffer, length};
}

TEST(Format, AgreesWithPrintf) {
  EXPECT_EQ(format("%d %d %u", -7, 0, 4000000000u), "-7 0 4000000000");
  EXPECT_EQ(format("%ld %lu %lx", INT64_MIN, UINT64_MAX, UINT64_MAX),
            "-9223372036854775808 18446744073709551615 ffffffffffffffff");
  EXPECT_EQ(format("%s|%-6s|%6s|%c|%%", "text", "abc", "abc", 'x'), "text|abc   |   abc|x|%");
  EXPECT_EQ(format("%5u|%-5u|%05u|%08x", 42u, 42u, 42u, 0xbeefu), "   42|42   |00042|0000beef");
  EXPECT_EQ(format("%p", (void*)0x1234), "0x1234");
  const char* volatile nothing = nullptr;
  EXPECT_EQ(format("%s", nothing), "(null)");
}

TEST(Format, StopsAtTheEndOfTheBuffer) { EXPECT_EQ(format("%200s", "x").size(), 127u); }

TEST(Log, LevelsBelowTheWantedOneAreSilent) {
  Messages messages;
  log(Level::warn, "a %d", 1);
  log(Level::info, "b");
  bool said = false;
  log_once(&said, Level::warn, "c");
  log_once(&said, Level::warn, "c again");
  EXPECT_EQ(messages.text(), "weft: a 1\nweft: c\n");
}

TEST(Log, AWrongLevelIsSaid) {
  options.log = "loud";
  Messages messages;
  log_begin();
  log_init();
  EXPECT_NE(messages.text().find("'loud' is not LEVEL[:FILE]"), std::string::npos);
}

// Descriptor 2 may have become a connection or a data file of the program's.
TEST(Log, WritesToNothingThatIsNotForMessages) {
  int saved = dup(2), ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  dup2(ends[0], 2);
  log(Level::error, "not for this peer");
  std::string path = testing::TempDir() + "weft_log_data." + std::to_string(getpid());
  int file = open(path.c_str(), O_CREAT | O_RDWR, 0600);
  dup2(file, 2);
  log(Level::error, "not for this file");
  off_t size = lseek(file, 0, SEEK_END);
  fcntl(2, F_SETFL, O_APPEND);
  log(Level::error, "this is a log");
  off_t appended = lseek(file, 0, SEEK_END);
  dup2(saved, 2);
  EXPECT_EQ(size, 0);
  EXPECT_GT(appended, 0);
  char byte;
  EXPECT_EQ(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
  unlink(path.c_str());
}

TEST(Log, RaisesNoSigpipe) {
  int saved = dup(2), ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  dup2(ends[1], 2);
  log(Level::error, "nobody reads this");  // the default action would end the test
  dup2(saved, 2);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_FALSE(sigismember(&pending, SIGPIPE));
}

// The last one: from here on this process logs to the file.
TEST(Log, GoesToAFileThatIsMadeAtTheFirstLine) {
  std::string path = testing::TempDir() + "weft_log_test." + std::to_string(getpid());
  static std::string option;  // stays, as the copy that options_read makes does
  option = "debug:" + path;
  options.log = option.c_str();
  log_init();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  int lowest = dup(0);
  close(lowest);
  log(Level::debug, "first");
  log(Level::error, "second");
  int again = dup(0);
  close(again);
  EXPECT_EQ(lowest, again) << "the log took the lowest free descriptor";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), "weft: first\nweft: second\n");
  unlink(path.c_str());
}

TEST(CheckDeathTest, SaysWhatIsBrokenAndAborts) {
  EXPECT_EXIT(
      {
        log_begin();
        WEFT_CHECK(1 + 1 == 3, "the sum is %d", 1 + 1);
      },
      testing::KilledBySignal(SIGABRT), "an invariant of weft is broken: the sum is 2 .*log_test");
}

}  // namespace
}  // namespace weft
