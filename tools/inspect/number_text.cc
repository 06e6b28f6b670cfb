// SPDX-License-Identifier: Apache-2.0
// Numbers in words, and back.
#include "number_text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>

namespace weft::inspect {

std::optional<double> parse_number(const std::string& word) {
  if (word.empty()) return std::nullopt;
  char* end = nullptr;
  const bool hexadecimal = word.starts_with("0x");
  const double number = hexadecimal ? (double)strtoull(word.c_str(), &end, 16) : strtod(word.c_str(), &end);
  if (end == word.c_str() || !std::isfinite(number)) return std::nullopt;
  const std::string unit = end;
  struct Unit {
    const char* name;
    double factor;
  };
  constexpr Unit kUnits[] = {{"", 1},
                             {"ns", 1},
                             {"us", 1e3},
                             {"ms", 1e6},
                             {"s", 1e9},
                             {"m", 60e9},
                             {"h", 3600e9},
                             {"d", 86400e9},
                             {"K", 1024},
                             {"M", 1024. * 1024},
                             {"G", 1024. * 1024 * 1024}};
  for (const Unit& each : kUnits) {
    if (unit == each.name) return number * each.factor;
  }
  return std::nullopt;
}

int64_t whole(double number) {
  constexpr double kEnd = 9223372036854775808.;
  if (!(number < kEnd)) return INT64_MAX;
  return number < -kEnd ? INT64_MIN : (int64_t)number;
}

std::string duration_text(int64_t nanoseconds) {
  const double seconds = (double)nanoseconds / 1e9;
  if (nanoseconds < 0) return "-" + duration_text(-std::max(nanoseconds, -INT64_MAX));
  if (nanoseconds < 1'000) return fmt::format("{}ns", nanoseconds);
  if (nanoseconds < 1'000'000) return fmt::format("{:.0f}us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.0f}ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f}s", seconds);
  const int64_t whole = nanoseconds / 1'000'000'000;
  if (seconds < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

std::string size_text(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{}", bytes);
  const char* unit = "KMGT";
  double value = (double)bytes / 1024;
  while (value >= 1024 && unit[1] != '\0') value /= 1024, unit++;
  return fmt::format("{:.1f}{}", value, *unit);
}

std::string with_commas(uint64_t number) {
  std::string digits = std::to_string(number);
  for (int at = (int)digits.size() - 3; at > 0; at -= 3) digits.insert((size_t)at, 1, ',');
  return digits;
}

std::string coroutines_text(uint64_t number) {
  return with_commas(number) + (number == 1 ? " coroutine" : " coroutines");
}

}  // namespace weft::inspect
