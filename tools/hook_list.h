// SPDX-License-Identifier: Apache-2.0
// The calls that weft hooks, made from hook/functions.def, and who of a program's files imports them.
#pragma once

#include <span>

#include "libraries.h"

namespace weft {

struct HookedCall {
  const char* family;
  const char* name;
  const LoadedFile* imported_by;  // the first file that does; null: none
};

std::span<HookedCall> hooked_calls();
void find_imports(const LoadedFile* files);

// The first file of these that imports the function; null: none. What libc calls of its own it imports from nobody.
const LoadedFile* find_importer(const LoadedFile* files, const char* function);

}  // namespace weft
