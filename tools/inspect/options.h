// SPDX-License-Identifier: Apache-2.0
// The command line of the inspector: flags that commands have in common, and those of one.
#pragma once

#include <cstdint>
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
  std::string filter;   // --where
  std::string sort;     // with a leading '-': descending
  long limit = -1;      // -n
  std::vector<std::string> columns;
  std::string group;
  std::string output;   // -o
  bool each = false, inlined = false, all_frames = false, threads = false;
  long depth = -1;
  bool prometheus = false;
};

}  // namespace weft::inspect
