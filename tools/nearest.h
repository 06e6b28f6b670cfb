// SPDX-License-Identifier: Apache-2.0
// Guesses which word of a list somebody meant who typed another.
#pragma once

namespace weft {

// How many letters must be put in, left out, exchanged or swapped with a neighbour to make `b` of `a`; letter case does
// not count.
unsigned edit_distance(const char* a, const char* b);

// Keeps the best of the candidates it is shown, as long as it is near enough to be a slip of the fingers.
class Nearest {
 public:
  explicit Nearest(const char* typed);
  void consider(const char* candidate);
  const char* word() const { return word_; }  // null: nothing is near

 private:
  const char* typed_;
  const char* word_ = nullptr;
  unsigned bound_;  // a candidate must be nearer than this
};

}  // namespace weft
