// SPDX-License-Identifier: Apache-2.0
// The language of --where: the input is an expression and, behind its first zero, a text that it is matched against.
#include <algorithm>
#include <string>
#include <vector>

#include "harness.h"
#include "tools/inspect/filter.h"
#include "tools/inspect/number_text.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint8_t* end = std::find(data, data + size, 0);
  const std::string expression(data, end), text(std::min(end + 1, data + size), data + size);
  static const std::vector<std::string> kNames = {"id", "since", "name", "frame"};
  fuzz::attempt([&] {
    const inspect::Filter filter = inspect::Filter::parse(expression, kNames);
    filter.uses("frame");
    filter.matches([&](const std::string& name) {
      if (name == "id") return inspect::Value{.number = 7, .text = "7"};
      if (name == "since") return inspect::Value{.number = inspect::parse_number(text), .text = ""};
      return inspect::Value{.number = std::nullopt, .text = text, .known = !text.empty()};
    });
  });
  return 0;
}
