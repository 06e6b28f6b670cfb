// SPDX-License-Identifier: Apache-2.0
// The files that ld.so would load for a program: itself and what it NEEDs, directly or not, searched for as ld.so does
// but for the variants it has for particular CPUs (glibc-hwcaps), which import the same calls.
#pragma once

#include <stddef.h>

#include "elf_file.h"

namespace weft {

struct LoadedFile {
  const char* name;             // as NEEDED; of the program: its path
  const char* path;             // null: not found
  const LoadedFile* needed_by;  // null: the program itself
  const ElfFile* file;          // null: not found
  LoadedFile* next;
};

// The program first, then breadth first like ld.so's own list. Nothing of it is ever freed.
const LoadedFile* load_files(const char* program);

// Where ld.so would find this library for this program; null: nowhere.
const char* find_library(const LoadedFile& needed_by, const char* name);

}  // namespace weft
