// SPDX-License-Identifier: Apache-2.0
// The command line of the inspector: flags that commands have in common, and those of one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "filter.h"
#include "stacks.h"
#include "symbols.h"
#include "target.h"
#include "unwind.h"

namespace weft::inspect {

struct Options {
  std::string command;
  std::string target;
  std::vector<std::string> operands;  // behind the target

  // all commands
  TargetOptions where;
  SymbolOptions symbols;
  Stop stop = Stop::running;
  UnwinderKind unwinder = UnwinderKind::libunwind;
  bool json = false;
  bool strict = false;
  bool check_sequence = true;

  // some
  std::string filter;  // --where
  std::string sort;    // with a leading '-': descending
  long limit = -1;     // -n
  std::vector<std::string> columns;
  std::string group;
  std::string output;  // -o
  bool each = false, inlined = false, all_frames = false, threads = false;
  long depth = -1;
  bool prometheus = false;
};

// A flag of one command. Without an argument: `set` gets "".
struct Flag {
  const char* name;      // "--where", "-n"
  const char* argument;  // what it takes, null: nothing
  std::function<void(const std::string&)> set;
};

// The words of a command, its name first: common flags go to `options`, `own` flags to their setters, the first operand is the target.
// Throws Failure(kUsage). False: --help was asked for, and printed.
bool parse_options(int count, char** words, const char* help, const std::vector<Flag>& own, Options* options);

// What the help of each command ends with.
extern const char kCommonHelp[];

// Values of flags; each throws Failure(kUsage).
long parse_count(const char* flag, const std::string& word);
// "500ms", "2s": nanoseconds, within these bounds.
uint64_t parse_time(const char* flag, const std::string& word, uint64_t least, uint64_t most);
constexpr uint64_t kMillisecond = 1'000'000, kHour = 3'600'000'000'000;
std::vector<std::string> parse_list(const std::string& words);

CopyOptions copy_options(const Options& options);

}  // namespace weft::inspect
