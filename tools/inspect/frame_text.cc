// SPDX-License-Identifier: Apache-2.0
// Frames of a stack in words.
#include "frame_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::inspect {

std::string location_text(const Symbols& symbols, const Named& named, const Location& location) {
  if (location.function.empty() && location.file.empty()) return symbols.text(named);  // the module is in it
  std::string line = location.function.empty() ? symbols.text(named) : location.function;
  if (!location.file.empty()) line += fmt::format(" at {}:{}", location.file, location.line);
  if (location.inlined) line += " [inlined]";
  if (location.file.empty() && named.module != nullptr) line += " in " + named.module->name();
  return line;
}

std::vector<std::string> frame_lines(Look& look, const Trace& trace, bool all) {
  std::vector<std::string> lines;
  for (const Frame& frame : look.shown(trace, all)) {
    const Named& named = look.symbols().at(frame);
    for (const Location& location : named.locations) lines.push_back(location_text(look.symbols(), named, location));
  }
  if (trace.ending != Ending::complete) lines.push_back(fmt::format("({})", name_of(trace.ending)));
  return lines;
}

std::vector<std::string> frame_names(Look& look, const Trace& trace, bool all) {
  std::vector<std::string> names;
  for (const Frame& frame : look.shown(trace, all)) {
    const Named& named = look.symbols().at(frame);
    for (const Location& location : named.locations)
      names.push_back(location.function.empty() ? look.symbols().text(named) : without_arguments(location.function));
  }
  // What is missing below hangs on nothing, and must not look like a first function.
  if (trace.ending != Ending::complete) names.push_back(fmt::format("({})", name_of(trace.ending)));
  std::reverse(names.begin(), names.end());
  return names;
}

}  // namespace weft::inspect
