// SPDX-License-Identifier: Apache-2.0
// Names that a program, its threads and its files have are shown, never obeyed: a control character in them leaves as \xNN, so that nobody
// who is looked at writes to the terminal of who looks.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace weft::inspect {

// New lines and tabs are left as they are, and so is UTF-8, all but its control characters.
std::string plain(std::string_view text);

// From now on all that goes to stdout is plain.
void make_output_plain();
// What was stdout before, for who draws on a terminal.
FILE* terminal_output();

}  // namespace weft::inspect
