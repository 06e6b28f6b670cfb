// SPDX-License-Identifier: Apache-2.0
// What the C library's compiler would do without end is refused before it: it copies what is repeated, so that repetitions of repetitions
// multiply; it recurses for each parenthesis; and references back to what was matched take exponential time.
#include "pattern.h"

#include <regex.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>

namespace weft::inspect {

namespace {

constexpr uint64_t kMostCopies = 20'000;  // characters of the pattern times all its repetitions
constexpr int kMostGroups = 100;

// How often what stands before the closing brace may be copied: the larger number of "{2,30}".
uint64_t most_of(std::string_view braces) {
  uint64_t most = 1, number = 0;
  for (char c : braces) {
    number = isdigit((unsigned char)c) ? std::min<uint64_t>(number * 10 + (uint64_t)(c - '0'), kMostCopies) : 0;
    most = std::max(most, number);
  }
  return most;
}

const char* objection(const std::string& words) {
  uint64_t copies = words.size();
  int groups = 0;
  bool of_group = false;  // what stands before is more than a character
  for (size_t at = 0; at < words.size() && copies <= kMostCopies; at++) {
    const char c = words[at];
    if (c == '\\') {
      if (++at < words.size() && isdigit((unsigned char)words[at])) return "it refers back to what was matched";
      of_group = false;
      continue;
    }
    if (c == '(' && ++groups > kMostGroups) return "it has too many parentheses";
    if (c == '+' && of_group) copies *= 2;
    if (c == '{') copies *= most_of(std::string_view(words).substr(at, words.find('}', at) - at));
    of_group = c == ')' || c == '}' || c == '*' || c == '+' || c == '?';
  }
  return copies > kMostCopies ? "it repeats too much" : nullptr;
}

}  // namespace

struct Pattern::Compiled {
  regex_t expression;
  bool is_made = false;
  ~Compiled() {
    if (is_made) regfree(&expression);
  }
};

Pattern::Pattern() : compiled_(std::make_unique<Compiled>()) {}
Pattern::~Pattern() = default;

std::unique_ptr<Pattern> Pattern::make(const std::string& words, std::string* why) {
  if (const char* words_for_it = objection(words)) {
    *why = words_for_it;
    return nullptr;
  }
  std::unique_ptr<Pattern> pattern(new Pattern);
  regex_t& expression = pattern->compiled_->expression;
  const int error = regcomp(&expression, words.c_str(), REG_EXTENDED | REG_NOSUB);
  pattern->compiled_->is_made = error == 0;
  if (error == 0) return pattern;
  char text[128];
  regerror(error, &expression, text, sizeof text);
  *why = text;
  return nullptr;
}

bool Pattern::found_in(std::string_view text) const {
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    regmatch_t line = {0, (regoff_t)(end - begin)};
    if (regexec(&compiled_->expression, text.data() + begin, 1, &line, REG_STARTEND) == 0) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace weft::inspect
