// SPDX-License-Identifier: Apache-2.0
// `weft flame`: where coroutines wait or run, as a flame graph.
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "commands.h"
#include "failure.h"
#include "flame_graph.h"
#include "frame_text.h"
#include "look.h"
#include "options.h"

namespace weft::inspect {
namespace {

uint64_t weight_of(const Coroutine& coroutine, const std::string& weight, uint64_t clock) {
  if (weight == "since") return coroutine.since && clock > *coroutine.since ? clock - *coroutine.since : 0;
  if (weight == "run") return coroutine.run_time;
  return 1;
}

std::vector<WeightedStack> stacks_of(Look& look, const Options& options) {
  std::vector<WeightedStack> stacks;
  for (const Group& group : look.groups()) {
    WeightedStack stack;
    for (uint32_t member : group.members) {
      const StackCopy& copy = look.stacks().copies[member];
      // Kernel threads have no times of ours.
      if (copy.coroutine.id == 0 && options.weight != "count") continue;
      stack.weight += weight_of(copy.coroutine, options.weight, look.clock());
    }
    if (stack.weight == 0) continue;
    stack.frames = frame_names(look, group.trace, options.all_frames);
    stacks.push_back(std::move(stack));
  }
  return stacks;
}

void write_out(const std::string& document, const std::string& path) {
  const bool to_file = !path.empty() && path != "-";
  FILE* file = to_file ? fopen(path.c_str(), "we") : stdout;
  if (file == nullptr) throw Failure(kNoTarget, "cannot write {}: {}.", path, strerror(errno));
  const bool written = fwrite(document.data(), 1, document.size(), file) == document.size();
  if ((to_file ? fclose(file) : fflush(file)) != 0 || !written)
    throw Failure(kNoTarget, "cannot write {}: {}.", to_file ? path : "the standard output", strerror(errno));
}

}  // namespace

int flame(int count, char** words) {
  const Options options = parse_options(count, words);
  Look look(open_target(options.target, options.where), options);
  look.take({.stop = options.stop, .stacks = true, .threads = options.threads});
  look.unwind();
  const std::vector<WeightedStack> stacks = stacks_of(look, options);
  FlameText text;
  text.is_time = options.weight != "count";
  text.unit = text.is_time ? "" : "coroutines";
  const char* what = options.weight == "since" ? "for how long they wait" : options.weight == "run" ? "how long they ran" : "where they are";
  text.title = fmt::format("Coroutines of {}: {}", look.target().name(), what);
  if (options.format == "folded") {
    write_out(flame_folded(stacks), options.output);
  } else if (options.format == "speedscope") {
    write_out(flame_speedscope(stacks, text), options.output);
  } else {
    write_out(flame_svg(stacks, text), options.output);
  }
  return look.status(options.strict);
}

}  // namespace weft::inspect
