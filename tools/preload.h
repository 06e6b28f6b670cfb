// SPDX-License-Identifier: Apache-2.0
// Where libweft.so is, and what LD_PRELOAD must be for it to come into a program.
#pragma once

namespace weft {

// The directory of the launcher's own executable, links resolved. Ends the process with one line if it cannot be told.
const char* own_directory();

// Beside the launcher or in the installed library directory, which is found from there: an absolute path that
// LD_PRELOAD can hold, of a file that ld.so can load. Never relative to the working directory, where anybody may have
// put a file of that name. Null: not found or not usable, for the reason in `problem`.
const char* find_weft_library(const char*& problem, const char*& remedy);

// The new value of LD_PRELOAD: what is there already, with the library behind it and the address sanitizer that
// `program` NEEDs in front of it all, because that one refuses to start behind any other library.
const char* preload_value(const char* library, const char* program);

}  // namespace weft
