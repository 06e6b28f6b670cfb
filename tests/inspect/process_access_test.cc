// SPDX-License-Identifier: Apache-2.0
// The sentence about Yama's ptrace_scope, from files made up: most test machines have no Yama.
#include "process_access.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace weft::inspect {
namespace {

std::string words_for(const std::string& content) {
  char name[] = "/tmp/weft-scope-XXXXXX";
  const int fd = mkstemp(name);
  EXPECT_GE(fd, 0);
  close(fd);
  std::ofstream(name) << content;
  const std::string words = scope_words(name);
  unlink(name);
  return words;
}

TEST(PtraceScope, SaysWhoMayRead) {
  EXPECT_EQ(words_for("1\n"), " /proc/sys/kernel/yama/ptrace_scope is 1: only a process's ancestors may read it.");
  EXPECT_EQ(words_for("2\n"),
            " /proc/sys/kernel/yama/ptrace_scope is 2: only who has CAP_SYS_PTRACE may read a process.");
  EXPECT_EQ(words_for("3\n"),
            " /proc/sys/kernel/yama/ptrace_scope is 3: nobody may read a process until the next boot.");
}

TEST(PtraceScope, SaysNothingWhereItForbidsNothing) {
  EXPECT_EQ(words_for("0\n"), "");
  EXPECT_EQ(words_for(""), "");
  EXPECT_EQ(scope_words("/nowhere/ptrace_scope"), "");
}

}  // namespace
}  // namespace weft::inspect
