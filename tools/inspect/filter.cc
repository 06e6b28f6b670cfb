// SPDX-License-Identifier: Apache-2.0
// The parser of --where, by recursive descent, and its evaluation. Names are checked when it is parsed, so that a misspelt one is an error
// and not an empty list.
#include "filter.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "failure.h"
#include "number_text.h"
#include "pattern.h"

namespace weft::inspect {

struct Filter::Node {
  enum class Kind { all, any, none_of, comparison } kind = Kind::comparison;
  std::vector<std::unique_ptr<Node>> parts;
  std::string name, operation, value;
  std::optional<double> number;
  std::unique_ptr<Pattern> pattern;
};

namespace {

using Node = Filter::Node;

class Parser {
 public:
  Parser(const std::string& words, const std::vector<std::string>& names) : words_(words), names_(names) { next(); }

  std::unique_ptr<Node> whole() {
    std::unique_ptr<Node> node = any();
    if (!token_.empty()) fail("what follows is no 'and' or 'or'");
    return node;
  }

 private:
  std::unique_ptr<Node> any() { return chain(Node::Kind::any, "or", &Parser::all); }
  std::unique_ptr<Node> all() { return chain(Node::Kind::all, "and", &Parser::part); }

  std::unique_ptr<Node> chain(Node::Kind kind, const char* word, std::unique_ptr<Node> (Parser::*inner)()) {
    std::unique_ptr<Node> first = (this->*inner)();
    if (quoted_ || token_ != word) return first;
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->parts.push_back(std::move(first));
    while (!quoted_ && token_ == word) {
      next();
      node->parts.push_back((this->*inner)());
    }
    return node;
  }

  std::unique_ptr<Node> part() {
    constexpr unsigned kDeepest = 200;
    if (++depth_ > kDeepest) fail("it is nested too deeply");
    std::unique_ptr<Node> node;
    if (!quoted_ && token_ == "not") {
      next();
      node = std::make_unique<Node>();
      node->kind = Node::Kind::none_of;
      node->parts.push_back(part());
    } else if (!quoted_ && token_ == "(") {
      next();
      node = any();
      if (quoted_ || token_ != ")") fail("a ')' is missing");
      next();
    } else {
      node = comparison();
    }
    depth_--;
    return node;
  }

  std::unique_ptr<Node> comparison() {
    auto node = std::make_unique<Node>();
    node->name = token_;
    if (std::find(names_.begin(), names_.end(), token_) == names_.end()) {
      std::string list;
      for (const std::string& name : names_) list += (list.empty() ? "" : ", ") + name;
      fail(token_.empty() ? "a name is missing" : fmt::format("there is no '{}'; names are {}", token_, list));
    }
    next();
    constexpr const char* kOperators[] = {"=", "!=", "<", "<=", ">", ">=", "~", "!~"};
    if (quoted_ ||
        std::none_of(std::begin(kOperators), std::end(kOperators), [&](const char* each) { return token_ == each; }))
      fail("an operator is missing: = != < <= > >= ~ !~");
    node->operation = token_;
    next(true);
    if (token_.empty() && !quoted_) fail("a value is missing");
    node->value = token_;
    node->number = parse_number(token_);
    if (node->operation == "~" || node->operation == "!~") {
      std::string why;
      node->pattern = Pattern::make(node->value, &why);
      if (node->pattern == nullptr) fail(fmt::format("'{}' is no regular expression: {}", node->value, why));
    } else if (node->operation[0] == '<' || node->operation[0] == '>') {
      if (!node->number) fail(fmt::format("'{}' is no number, duration or size", node->value));
    }
    next();
    return node;
  }

  // A value ends at a blank or an unmatched ')', so that patterns need no quotes.
  void next(bool value = false) {
    while (at_ < words_.size() && isspace((unsigned char)words_[at_])) at_++;
    begin_ = at_;
    token_.clear();
    quoted_ = false;
    if (at_ == words_.size()) return;
    const char c = words_[at_];
    if (c == '\'' || c == '"') {
      quoted_ = true;
      const size_t end = words_.find(c, at_ + 1);
      if (end == std::string::npos) fail("a quote is not closed");
      token_ = words_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return;
    }
    if (value) {
      int open = 0;
      while (at_ < words_.size() && !isspace((unsigned char)words_[at_])) {
        if (words_[at_] == '(') open++;
        if (words_[at_] == ')' && open-- == 0) break;
        token_ += words_[at_++];
      }
      return;
    }
    if (c == '(' || c == ')') {
      token_ = words_[at_++];
      return;
    }
    const std::string symbols = "=!<>~";
    const bool is_operator = symbols.find(c) != std::string::npos;
    while (at_ < words_.size()) {
      const char each = words_[at_];
      if (isspace((unsigned char)each) || each == '(' || each == ')' ||
          (symbols.find(each) != std::string::npos) != is_operator)
        break;
      token_ += each;
      at_++;
    }
  }

  [[noreturn]] void fail(const std::string& why) {
    throw Failure(kUsage, "--where: {}, at '{}'.", why, begin_ < words_.size() ? words_.substr(begin_) : "the end");
  }

  const std::string& words_;
  const std::vector<std::string>& names_;
  size_t at_ = 0, begin_ = 0;
  std::string token_;
  bool quoted_ = false;
  unsigned depth_ = 0;
};

bool compare(const Node& node, const Value& value) {
  if (!value.known) return false;
  const std::string& op = node.operation;
  if (op == "~") return node.pattern->found_in(value.text);
  if (op == "!~") return !node.pattern->found_in(value.text);
  const bool numbers = value.number && node.number;
  if (op == "=") return numbers ? *value.number == *node.number : value.text == node.value;
  if (op == "!=") return numbers ? *value.number != *node.number : value.text != node.value;
  if (!numbers) return false;
  if (op == "<") return *value.number < *node.number;
  if (op == "<=") return *value.number <= *node.number;
  if (op == ">") return *value.number > *node.number;
  return *value.number >= *node.number;
}

bool evaluate(const Node& node, const Lookup& row) {
  switch (node.kind) {
    case Node::Kind::all:
      return std::all_of(node.parts.begin(), node.parts.end(), [&](const auto& part) { return evaluate(*part, row); });
    case Node::Kind::any:
      return std::any_of(node.parts.begin(), node.parts.end(), [&](const auto& part) { return evaluate(*part, row); });
    case Node::Kind::none_of:
      return !evaluate(*node.parts[0], row);
    case Node::Kind::comparison:
      return compare(node, row(node.name));
  }
  return false;
}

bool names(const Node& node, const std::string& name) {
  return node.name == name ||
         std::any_of(node.parts.begin(), node.parts.end(), [&](const auto& part) { return names(*part, name); });
}

}  // namespace

Filter::Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Filter Filter::parse(const std::string& words, const std::vector<std::string>& names) {
  Filter filter;
  filter.root_ = Parser(words, names).whole();
  return filter;
}

bool Filter::matches(const Lookup& row) const { return root_ == nullptr || evaluate(*root_, row); }
bool Filter::uses(const std::string& name) const { return root_ != nullptr && names(*root_, name); }

}  // namespace weft::inspect
