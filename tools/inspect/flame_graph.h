// SPDX-License-Identifier: Apache-2.0
// Weighted stacks as a picture or as the input of other tools. Knows nothing of coroutines: names of frames and weights are all it is given.
//
//   svg         one file that needs nothing else: hover for figures, click to zoom, search by a regular expression. Without scripts it
//               is still a picture with titles. The first function is at the bottom, callees of one caller stand in the order of names
//   folded      "first;second;third weight", a line a stack, for flamegraph.pl and its kin
//   speedscope  JSON for https://www.speedscope.app
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::inspect {

struct WeightedStack {
  std::vector<std::string> frames;  // the first function first
  uint64_t weight = 0;
};

struct FlameText {
  std::string title;
  std::string unit;      // "coroutines"
  bool is_time = false;  // weights are nanoseconds
};

// Frames that would be narrower than a tenth of a pixel are left out of the picture, not out of their callers' weight.
std::string flame_svg(const std::vector<WeightedStack>& stacks, const FlameText& text);
std::string flame_folded(const std::vector<WeightedStack>& stacks);
std::string flame_speedscope(const std::vector<WeightedStack>& stacks, const FlameText& text);

// What may stand in XML, in an attribute as well: bytes that are not UTF-8, and characters that XML does not know, become U+FFFD.
std::string xml_text(const std::string& words);

}  // namespace weft::inspect
