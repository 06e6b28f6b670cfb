// SPDX-License-Identifier: Apache-2.0
// `weft flame`: where coroutines wait or run, as a flame graph.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "flame_graph.h"
#include "frame_text.h"
#include "look.h"
#include "options.h"
#include "rows.h"

namespace weft::inspect {
namespace {

uint64_t weight_of(const Coroutine& coroutine, const std::string& weight, uint64_t clock) {
  if (weight == "since") return coroutine.since && clock > *coroutine.since ? clock - *coroutine.since : 0;
  if (weight == "run") return coroutine.run_time;
  return 1;
}

std::vector<WeightedStack> stacks_of(Look& look, const std::string& weight, bool all_frames) {
  std::vector<WeightedStack> stacks;
  for (const Group& group : look.groups()) {
    WeightedStack stack;
    for (uint32_t member : group.members) {
      const StackCopy& copy = look.stacks().copies[member];
      // Kernel threads have no times of ours.
      if (copy.coroutine.id == 0 && weight != "count") continue;
      stack.weight += weight_of(copy.coroutine, weight, look.clock());
    }
    if (stack.weight == 0) continue;
    stack.frames = frame_names(look, group.trace, all_frames);
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
  Options options;
  std::string format = "svg", weight = "count";
  const std::vector<Flag> flags = {
      {"-o", "FILE", [&](const std::string& word) { options.output = word; }},
      {"--format", "FORMAT", [&](const std::string& word) { format = word; }},
      {"--weight", "WEIGHT", [&](const std::string& word) { weight = word; }},
      {"--where", "EXPRESSION", [&](const std::string& word) { options.filter = word; }},
      {"--all-frames", nullptr, [&](const std::string&) { options.all_frames = true; }},
      {"--threads", nullptr, [&](const std::string&) { options.threads = true; }},
  };
  if (!parse_options(count, words, kFlameHelp, flags, &options)) return kFine;
  if (!options.operands.empty())
    throw Failure(kUsage, "weft flame takes one TARGET; '{}' is too much.", options.operands[0]);
  if (format != "svg" && format != "folded" && format != "speedscope")
    throw Failure(kUsage, "--format takes svg, folded or speedscope, not '{}'.", format);
  if (weight != "count" && weight != "since" && weight != "run")
    throw Failure(kUsage, "--weight takes count, since or run, not '{}'.", weight);
  if (!options.filter.empty()) Filter::parse(options.filter, Rows::names());

  Look look(open_target(options.target, options.where), options);
  look.take(copy_options(options));
  look.unwind();
  bool nothing = false;
  if (!options.filter.empty()) {
    Rows rows(look);
    const std::vector<uint32_t> chosen = rows.select(options);
    nothing = chosen.empty();
    if (!nothing) look.unwind(chosen);
  }
  const std::vector<WeightedStack> stacks =
      nothing ? std::vector<WeightedStack>() : stacks_of(look, weight, options.all_frames);
  FlameText text;
  text.is_time = weight != "count";
  text.unit = text.is_time ? "" : "coroutines";
  text.title = fmt::format("{}: {}", look.target().name(),
                           weight == "since" ? "for how long its coroutines wait"
                           : weight == "run" ? "how long its coroutines ran"
                                             : "where its coroutines are");
  write_out(format == "folded"       ? flame_folded(stacks)
            : format == "speedscope" ? flame_speedscope(stacks, text)
                                     : flame_svg(stacks, text),
            options.output);
  return look.status(options.strict);
}

}  // namespace weft::inspect
