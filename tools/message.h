// SPDX-License-Identifier: Apache-2.0
// The launcher's words: each is one line on descriptor 2 that begins with "weft: " and goes out in one write, so that
// it is not torn apart by what others write there. Says what failed, why, and what to do.
#pragma once

#include <string_view>

namespace weft {

// Exit statuses of `weft run`, those of env(1) and stdbuf(1).
inline constexpr int kOwnFailure = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;

// Formatted text that is never freed: the launcher ends by exec or exit. Ends the process with status 125 when memory
// is gone.
char* text(const char* format, ...) __attribute__((format(printf, 1, 2)));
char* text(std::string_view bytes);

// Memory for `count` things of `size` bytes, zeroed, under the same rule.
void* memory(unsigned long count, unsigned long size);

void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void fail(int status, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Ends a command that printed its result to descriptor 1: `status`, or 125 if not all of it could be written.
[[noreturn]] void finish(int status);

}  // namespace weft
