// SPDX-License-Identifier: Apache-2.0
// The list of commands.
#include "commands.h"

#include "command_help.h"

namespace weft::inspect {

namespace {

constexpr Command kCommands[] = {
    {"bt", bt, kBtHelp},       {"diff", diff, kDiffHelp}, {"flame", flame, kFlameHelp},
    {"lint", lint, kLintHelp}, {"ps", ps, kPsHelp},       {"snap", snap, kSnapHelp},
    {"stat", stat, kStatHelp}, {"top", top, kTopHelp},    {"trace", trace, kTraceHelp},
};

}  // namespace

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

std::string command_names() {
  std::string names;
  for (const Command& command : kCommands) names += (names.empty() ? "" : ", ") + std::string(command.name);
  return names;
}

}  // namespace weft::inspect
