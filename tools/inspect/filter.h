// SPDX-License-Identifier: Apache-2.0
// The language of --where and --sort, apart from what it is applied to:
//   expression  and, or, not, ( ), comparisons
//   comparison  NAME OPERATOR VALUE; = != < <= > >= ~ (a regular expression matches somewhere) !~
//   value       a word or a 'quoted' one; numbers may carry a unit: ns us ms s m h d, K M G (powers of 1024)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::inspect {

// Of a name in one row: a number, words, or both ("fd": 7).
struct Value {
  std::optional<double> number;
  std::string text;
  bool known = true;  // false: every comparison with it is false
};

using Lookup = std::function<Value(const std::string& name)>;

class Filter {
 public:
  // Throws Failure(kUsage), pointing at the place. `names` are those that may be asked for.
  static Filter parse(const std::string& words, const std::vector<std::string>& names);
  Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  bool is_empty() const { return root_ == nullptr; }
  bool uses(const std::string& name) const;
  bool matches(const Lookup& row) const;

  struct Node;

 private:
  std::unique_ptr<Node> root_;
};

}  // namespace weft::inspect
