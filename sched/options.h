// SPDX-License-Identifier: Apache-2.0
// The options of options.def, read once from WEFT_*.
#pragma once

#include <cstdint>

namespace weft {

// How calls are made that wait for a disk.
enum class FileWay : uint8_t { automatic, uring, region };

// How guards of stacks are made.
enum class GuardWay : uint8_t { automatic, mprotect };

struct Options {
#define WEFT_COUNT uint64_t
#define WEFT_OPTION(NAME, member, kind, initial, META, text) WEFT_TYPE_##kind member = {};
#define WEFT_TYPE_count uint64_t
#define WEFT_TYPE_bytes uint64_t
#define WEFT_TYPE_yesno bool
#define WEFT_TYPE_flag bool
#define WEFT_TYPE_text const char*
#define WEFT_TYPE_names const char*
#define WEFT_TYPE_file_way FileWay
#define WEFT_TYPE_guard_way GuardWay
#include "sched/options.def"
#undef WEFT_OPTION
#undef WEFT_COUNT
};

extern Options options;

// Reads the environment. A wrong value or an unknown WEFT_ name is said in one line each and otherwise ignored.
void options_read(char** environment);

// Does one of the comma-separated fnmatch patterns match?
bool matches_any(const char* patterns, const char* name);

}  // namespace weft
