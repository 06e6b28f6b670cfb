// SPDX-License-Identifier: Apache-2.0
// Regular expressions as POSIX extends them, by RE2: its time is that of the text's length, its memory has a bound. Others were tried and
// rejected. std::regex recurses once for each character of the text, of which 28,000 end the process, and takes exponential time for
// (a*)*b; so does the C library's compiler for groups of groups that are repeated.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace weft::inspect {

class Pattern {
 public:
  // Null: `why` says what is wrong with the words.
  static std::unique_ptr<Pattern> make(const std::string& words, std::string* why);
  ~Pattern();
  Pattern(const Pattern&) = delete;

  // Does it match somewhere in one of the text's lines? '^' and '$' are a line's.
  bool found_in(std::string_view text) const;

 private:
  Pattern();
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace weft::inspect
