// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and sizes as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace weft::inspect {

// "5s" in nanoseconds, "64K" in bytes, "7"; nothing if it is no number.
std::optional<double> parse_number(const std::string& word);

// Without its fraction; the nearest there is to one that is too large. A damaged target's may be.
int64_t whole(double number);

std::string duration_text(int64_t nanoseconds);  // "1.2s", "3m20s"
std::string size_text(uint64_t bytes);           // "12.3K"
std::string with_commas(uint64_t number);        // "12,345"
std::string coroutines_text(uint64_t number);    // "1 coroutine", "12,345 coroutines"

}  // namespace weft::inspect
