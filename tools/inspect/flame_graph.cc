// SPDX-License-Identifier: Apache-2.0
// Weighted stacks for other tools: folded lines and speedscope's JSON.
#include "flame_graph.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

namespace weft::inspect {

std::string flame_folded(const std::vector<WeightedStack>& stacks) {
  // Stacks that differ in addresses alone have become the same by being named.
  std::map<std::string, uint64_t> lines;
  for (const WeightedStack& stack : stacks) {
    std::string line;
    for (const std::string& frame : stack.frames) {
      if (!line.empty()) line += ';';
      for (char c : frame) line += c == ';' ? ':' : c == '\n' ? ' ' : c;
    }
    lines[line.empty() ? "?" : line] += stack.weight;
  }
  std::string result;
  for (const auto& [line, weight] : lines) result += line + ' ' + std::to_string(weight) + '\n';
  return result;
}

std::string flame_speedscope(const std::vector<WeightedStack>& stacks, const FlameText& text) {
  nlohmann::json frames = nlohmann::json::array(), samples = nlohmann::json::array(), weights = nlohmann::json::array();
  std::map<std::string, size_t> index;
  uint64_t total = 0;
  for (const WeightedStack& stack : stacks) {
    nlohmann::json sample = nlohmann::json::array();
    for (const std::string& frame : stack.frames) {
      const auto [place, is_new] = index.try_emplace(frame, index.size());
      if (is_new) frames.push_back({{"name", frame}});
      sample.push_back(place->second);
    }
    samples.push_back(std::move(sample));
    weights.push_back(stack.weight);
    total += stack.weight;
  }
  const nlohmann::json profile = {{"type", "sampled"},
                                  {"name", text.title},
                                  {"unit", text.is_time ? "nanoseconds" : "none"},
                                  {"startValue", 0},
                                  {"endValue", total},
                                  {"samples", std::move(samples)},
                                  {"weights", std::move(weights)}};
  const nlohmann::json document = {{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                                   {"name", text.title},
                                   {"exporter", "weft"},
                                   {"activeProfileIndex", 0},
                                   {"shared", {{"frames", std::move(frames)}}},
                                   {"profiles", nlohmann::json::array({profile})}};
  return document.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace weft::inspect
