// SPDX-License-Identifier: Apache-2.0
// Weighted stacks as an SVG document.
#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "flame_graph.h"
#include "flame_script.h"
#include "number_text.h"

namespace weft::inspect {
namespace {

constexpr double kWidth = 1200, kMargin = 10, kInner = kWidth - 2 * kMargin;
constexpr double kRow = 17, kTop = 62, kBottom = 34;
constexpr double kLetter = 6.6;
constexpr double kNarrowest = 0.1;

struct Node {
  std::map<std::string, std::unique_ptr<Node>> callees;
  uint64_t weight = 0;
};

void add(Node* root, const WeightedStack& stack) {
  Node* node = root;
  node->weight += stack.weight;
  for (const std::string& frame : stack.frames) {
    std::unique_ptr<Node>& callee = node->callees[frame];
    if (callee == nullptr) callee = std::make_unique<Node>();
    node = callee.get();
    node->weight += stack.weight;
  }
}

// Warm colours, the same for the same name in every picture.
std::string colour(const std::string& name) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : name) hash = (hash ^ c) * 16777619u;
  return fmt::format("rgb({},{},{})", 205 + hash % 50, 80 + (hash >> 8) % 130, (hash >> 16) % 60);
}

// Cut to what fits, between characters.
std::string cut(const std::string& words, double width) {
  const double room = (width - 6) / kLetter;
  if (room < 3) return {};
  const size_t letters = (size_t)room;
  if (words.size() <= letters) return words;
  size_t end = letters - 2;
  while (end > 0 && (words[end] & 0xc0) == 0x80) end--;
  return words.substr(0, end) + "..";
}

class Picture {
 public:
  Picture(const std::vector<WeightedStack>& stacks, const FlameText& text) : text_(text) {
    for (const WeightedStack& stack : stacks) add(&root_, stack);
    place("all", root_, 0, 0);
    height_ = kTop + (deepest_ + 1) * kRow + kBottom;
  }

  std::string document() const {
    std::string out = fmt::format(
        R"(<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{0}" height="{1}" viewBox="0 0 {0} {1}">
<title>{2}</title>
<style>
text {{ font-family: Verdana, "DejaVu Sans", sans-serif; font-size: 12px; fill: #000; }}
.f {{ cursor: pointer; }}
.f text {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 11px; pointer-events: none; }}
.f:hover rect {{ stroke: #000; stroke-width: 0.7; }}
.f.pale {{ opacity: 0.5; }}
.f.hit rect {{ fill: #e600e6; }}
.button {{ cursor: pointer; fill: #555; }}
</style>
<rect width="100%" height="100%" fill="#f8f4ee"/>
<text x="{3}" y="24" text-anchor="middle" style="font-size: 17px">{2}</text>
<text id="reset" class="button" x="10" y="24" style="display: none">Reset zoom</text>
<text id="search" class="button" x="{4}" y="24" text-anchor="end" style="display: none">Search</text>
<text id="matched" x="{4}" y="{5}" text-anchor="end"></text>
<text id="details" x="10" y="{5}"></text>
)",
        kWidth, height_, xml_text(text_.title), kWidth / 2, kWidth - kMargin, height_ - 12);
    for (const Placed& one : placed_) append(&out, one);
    out += "<script type=\"text/ecmascript\"><![CDATA[";
    out += kFlameScript;
    out += "]]></script>\n</svg>\n";
    return out;
  }

 private:
  struct Placed {
    const std::string name;
    uint64_t from, weight;
    unsigned level;
  };

  void place(const std::string& name, const Node& node, uint64_t from, unsigned level) {
    if (level > 0 && width_of(node.weight) < kNarrowest) return;
    placed_.push_back({name, from, node.weight, level});
    deepest_ = std::max(deepest_, level);
    for (const auto& [callee, below] : node.callees) {
      place(callee, *below, from, level + 1);
      from += below->weight;
    }
  }

  double part(uint64_t weight) const { return root_.weight == 0 ? 1 : (double)weight / (double)root_.weight; }
  double width_of(uint64_t weight) const { return part(weight) * kInner; }

  void append(std::string* out, const Placed& one) const {
    const double x = kMargin + part(one.from) * kInner * (root_.weight == 0 ? 0 : 1);
    const double width = width_of(one.weight), y = height_ - kBottom - (one.level + 1) * kRow;
    const std::string name = xml_text(one.name);
    const std::string figure = text_.is_time ? duration_text((int64_t)one.weight) : fmt::format("{}", one.weight);
    *out += fmt::format(
        "<g class=\"f\" data-n=\"{0}\" data-l=\"{1}\" data-x=\"{2:.12g}\" data-w=\"{3:.12g}\"><title>{0} ({4}{5}{6}, "
        "{7:.2f}%)</title>"
        "<rect x=\"{8:.2f}\" y=\"{9:.1f}\" width=\"{10:.2f}\" height=\"{11:.1f}\" rx=\"1\" fill=\"{12}\"/>"
        "<text x=\"{13:.2f}\" y=\"{14:.1f}\">{15}</text></g>\n",
        name, one.level, root_.weight == 0 ? 0 : part(one.from), part(one.weight), figure,
        text_.unit.empty() ? "" : " ", xml_text(text_.unit), 100 * part(one.weight), x, y,
        std::max(width - 0.5, kNarrowest), kRow - 1, colour(one.name), x + 3, y + 12, xml_text(cut(one.name, width)));
  }

  const FlameText& text_;
  Node root_;
  std::vector<Placed> placed_;
  unsigned deepest_ = 0;
  double height_ = 0;
};

// The length of the UTF-8 sequence at `at` if it is one that XML allows, else 0.
size_t character(const std::string& words, size_t at, uint32_t* code) {
  const unsigned char first = (unsigned char)words[at];
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xf0 && first < 0xf5 ? 4
                        : first >= 0xe0                 ? 3
                        : first >= 0xc2                 ? 2
                                                        : 0;
  if (length == 0 || first >= 0xf5 || at + length > words.size()) return 0;
  *code = length == 1 ? first : first & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((words[at + i] & 0xc0) != 0x80) return 0;
    *code = *code << 6 | (words[at + i] & 0x3f);
  }
  const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)) return 0;
  if (*code == 0xfffe || *code == 0xffff) return 0;
  if (*code < 0x20 && *code != '\t' && *code != '\n' && *code != '\r') return 0;
  return length;
}

}  // namespace

std::string xml_text(const std::string& words) {
  std::string out;
  for (size_t at = 0; at < words.size();) {
    uint32_t code = 0;
    const size_t length = character(words, at, &code);
    switch (length == 0 ? 0xfffd : code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\t':
      case '\n':
      case '\r':
        out += ' ';
        break;
      default:
        out += length == 0 ? "\xef\xbf\xbd" : words.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  return out;
}

std::string flame_svg(const std::vector<WeightedStack>& stacks, const FlameText& text) {
  return Picture(stacks, text).document();
}

}  // namespace weft::inspect
