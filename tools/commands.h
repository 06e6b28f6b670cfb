// SPDX-License-Identifier: Apache-2.0
// The first words that are no programs, and the commands that only print.
#pragma once

namespace weft {

// Is this the name of a command of weft's?
bool is_subcommand(const char* word);

[[noreturn]] void print_help();
[[noreturn]] void print_version();

// `weft check [PROGRAM]`; arguments[0] is "check".
[[noreturn]] void check(int count, char** arguments);

// `weft check` without a program: what this machine offers.
[[noreturn]] void check_machine();

}  // namespace weft
