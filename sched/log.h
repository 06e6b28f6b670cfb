// SPDX-License-Identifier: Apache-2.0
// The log: one line a write(2), to descriptor 2 or WEFT_LOG's file, never to descriptor 1. Async-signal-safe.
#pragma once

#include <cstdarg>

namespace weft {

enum class Level { error, warn, info, debug };

void log_begin();  // remembers what descriptor 2 is: lines go there only while it is that. Before the options are read
void log_init();   // after they are read
void log_file_left();  // fork child: its descriptors are not those among which the file was opened
bool log_enabled(Level level);
// A line with the prefix "weft: ". Formats: %s %d %u %x %p %c %%, with l and with a width (%-20s, %8lu).
[[gnu::format(printf, 2, 3)]] void log(Level level, const char* format, ...);
// The same whatever the level.
[[gnu::format(printf, 1, 2)]] void log_always(const char* format, ...);
// The same line only once in a process, whatever its arguments.
[[gnu::format(printf, 3, 4)]] void log_once(bool* said, Level level, const char* format, ...);

// Text as it is to descriptor 2, by one write(2), under the same precautions as a line of the log.
void write_messages(const char* text, unsigned length);

// Where lines go now; -1: nowhere.
int log_descriptor();

// A small printf into a buffer, without allocation, locale or locks. Returns the length.
unsigned format_line(char* buffer, unsigned size, const char* format, va_list arguments);
[[gnu::format(printf, 3, 4)]] unsigned format_text(char* buffer, unsigned size, const char* format, ...);

// A broken invariant of weft's own: says it, shows the coroutine table, aborts.
[[noreturn, gnu::format(printf, 3, 4)]] void check_failed(const char* file, int line, const char* format, ...);
#define WEFT_CHECK(condition, ...)                           \
  do {                                                       \
    if (!(condition)) [[unlikely]]                           \
      ::weft::check_failed(__FILE__, __LINE__, __VA_ARGS__); \
  } while (0)

}  // namespace weft
