// SPDX-License-Identifier: Apache-2.0
// Control characters, of ASCII and of the first block of Latin-1 in UTF-8, and the stream that has none.
#include "plain_output.h"

#include <sys/types.h>

#include <new>

#include <fmt/format.h>

namespace weft::inspect {

namespace {

constexpr unsigned char kLead = 0xc2;  // in UTF-8, of U+0080 to U+00BF; the first half of them are control characters

bool is_control(unsigned char byte) { return (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f; }

FILE* before = stdout;
bool lead_came;  // the last byte of what was written last; what it is the lead of is not known yet

ssize_t write_plain(void*, const char* bytes, size_t size) {
  if (size == 0) return 0;
  std::string text = std::string(lead_came ? 1 : 0, (char)kLead) + std::string(bytes, size);
  lead_came = (unsigned char)text.back() == kLead;
  if (lead_came) text.pop_back();
  const std::string words = plain(text);
  return fwrite(words.data(), 1, words.size(), before) == words.size() && fflush(before) == 0 ? (ssize_t)size : 0;
}

}  // namespace

std::string plain(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = (unsigned char)text[i],
               next = i + 1 < text.size() ? (unsigned char)text[i + 1] : (unsigned char)0;
    if (byte == kLead && next >= 0x80 && next < 0xa0)
      result += fmt::format("\\x{:02x}", (unsigned char)text[++i]);
    else if (is_control(byte))
      result += fmt::format("\\x{:02x}", byte);
    else
      result += (char)byte;
  }
  return result;
}

void make_output_plain() {
  FILE* filtered =
      fopencookie(nullptr, "w", {.read = nullptr, .write = write_plain, .seek = nullptr, .close = nullptr});
  if (filtered == nullptr) throw std::bad_alloc();
  stdout = filtered;
}

FILE* terminal_output() { return before; }

}  // namespace weft::inspect
