// SPDX-License-Identifier: Apache-2.0
// A coroutine as a row of named values: what --where compares, --sort orders, --columns prints and --group counts by.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "filter.h"
#include "look.h"
#include "options.h"
#include "wait_object.h"

namespace weft::inspect {

class Rows {
 public:
  explicit Rows(Look& look) : look_(look) {}

  static const std::vector<std::string>& names();
  // Throws Failure(kUsage) if there is no such name.
  static void check(const std::string& name, const char* flag);
  // Needs the name an unwound stack?
  static bool needs_stack(const std::string& name);

  Value value(uint32_t copy, const std::string& name);
  std::string cell(uint32_t copy, const std::string& name);  // as a table shows it
  const WaitedFor& waited(uint32_t copy);

  // Those that --where takes, in the order of --sort, at most -n.
  std::vector<uint32_t> select(const Options& options);

 private:
  const std::string& frames(const Group& group);
  std::string place(uint64_t address, bool exact);

  Look& look_;
  std::map<uint32_t, WaitedFor> waited_;
  std::map<uint64_t, std::string> frames_;
};

}  // namespace weft::inspect
