// SPDX-License-Identifier: Apache-2.0
// The edit distance with swaps of neighbours (optimal string alignment), in three rows of a bounded width.
#include "nearest.h"

#include <ctype.h>
#include <string.h>

namespace weft {
namespace {

constexpr unsigned kLongest = 63;  // words beyond it are no option's name, and are compared by their beginning

unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

bool same(char a, char b) { return tolower(static_cast<unsigned char>(a)) == tolower(static_cast<unsigned char>(b)); }

}  // namespace

unsigned edit_distance(const char* a, const char* b) {
  const unsigned rows = static_cast<unsigned>(strnlen(a, kLongest));
  const unsigned columns = static_cast<unsigned>(strnlen(b, kLongest));
  unsigned storage[3][kLongest + 1];
  unsigned* before = storage[0];
  unsigned* above = storage[1];
  unsigned* row = storage[2];
  for (unsigned j = 0; j <= columns; j++) above[j] = before[j] = j;
  for (unsigned i = 1; i <= rows; i++) {
    row[0] = i;
    for (unsigned j = 1; j <= columns; j++) {
      const unsigned exchanged = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      row[j] = least(exchanged, least(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        row[j] = least(row[j], before[j - 2] + 1);
      }
    }
    unsigned* oldest = before;
    before = above;
    above = row;
    row = oldest;
  }
  return above[columns];
}

Nearest::Nearest(const char* typed) : typed_(typed), bound_(2 + static_cast<unsigned>(strnlen(typed, kLongest)) / 4) {}

void Nearest::consider(const char* candidate) {
  const unsigned distance = edit_distance(typed_, candidate);
  if (distance < bound_) {
    bound_ = distance;
    word_ = candidate;
  }
}

}  // namespace weft
