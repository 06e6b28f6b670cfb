// SPDX-License-Identifier: Apache-2.0
// RE2 as patterns need it: bytes, not characters, since names of a target may be anything.
#include "pattern.h"

#include <re2/re2.h>

#include <algorithm>

namespace weft::inspect {

struct Pattern::Compiled {
  explicit Compiled(const std::string& words) : expression(words, options()) {}
  static RE2::Options options() {
    constexpr int64_t kMostMemory = 1 << 20;
    RE2::Options options;
    options.set_posix_syntax(true);
    options.set_encoding(RE2::Options::EncodingLatin1);
    options.set_max_mem(kMostMemory);
    options.set_never_capture(true);
    options.set_log_errors(false);
    return options;
  }
  RE2 expression;
};

Pattern::Pattern() = default;
Pattern::~Pattern() = default;

std::unique_ptr<Pattern> Pattern::make(const std::string& words, std::string* why) {
  std::unique_ptr<Pattern> pattern(new Pattern);
  pattern->compiled_ = std::make_unique<Compiled>(words);
  if (pattern->compiled_->expression.ok()) return pattern;
  *why = pattern->compiled_->expression.error();
  return nullptr;
}

bool Pattern::found_in(std::string_view text) const {
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const re2::StringPiece line(text.data() + begin, end - begin);
    if (compiled_->expression.Match(line, 0, line.size(), RE2::UNANCHORED, nullptr, 0)) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace weft::inspect
