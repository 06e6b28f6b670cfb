// SPDX-License-Identifier: Apache-2.0
// The commands. Each gets its own words (the command's name first), and returns an exit status or throws Failure.
#pragma once

#include <string>
#include <string_view>

namespace weft::inspect {

int ps(int count, char** words);
int bt(int count, char** words);
int snap(int count, char** words);
int stat(int count, char** words);
int flame(int count, char** words);
int lint(int count, char** words);
int top(int count, char** words);
int diff(int count, char** words);

struct Command {
  const char* name;
  int (*run)(int count, char** words);
  const char* help;  // what --help prints
};

// Null: there is none of that name.
const Command* find_command(std::string_view name);
std::string command_names();  // "bt, ps, …"

}  // namespace weft::inspect
