// SPDX-License-Identifier: Apache-2.0
// `weft diff`: what is stuck, grown and gone between two looks at one program.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "command_help.h"
#include "commands.h"
#include "diff_looks.h"
#include "failure.h"
#include "frame_text.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"

namespace weft::inspect {
namespace {

constexpr long kPlaces = 20;  // of each kind, unless -n says otherwise
constexpr size_t kShownIds = 8;

struct Side {
  std::unique_ptr<Look> look;
  std::vector<DiffCoroutine> coroutines;
  int status = kFine;
};

Side take_side(const std::string& name, const Options& options) {
  Side side;
  side.look = std::make_unique<Look>(open_target(name, options.where), options);
  Look& look = *side.look;
  look.take(copy_options(options));
  look.unwind();
  for (const Group& group : look.groups()) {
    const std::vector<std::string> place = frame_names(look, group.trace, options.all_frames);
    for (uint32_t member : group.members) {
      const Coroutine& c = look.stacks().copies[member].coroutine;
      if (c.id == 0) continue;
      DiffCoroutine one;
      one.id = c.id;
      one.sequence = c.sequence;
      one.is_parked = c.state == State::parked;
      if (c.since && look.clock() > *c.since) one.waited = look.clock() - *c.since;
      one.place = place;
      side.coroutines.push_back(std::move(one));
    }
  }
  side.status = look.status(options.strict);
  return side;
}

std::string ids_text(const std::vector<uint32_t>& ids) {
  std::string words;
  for (size_t i = 0; i < ids.size() && i < kShownIds; i++) words += fmt::format("{}{}", i == 0 ? "" : ",", ids[i]);
  return ids.size() > kShownIds ? words + fmt::format(" … {}", ids.back()) : words;
}

void print_places(const char* title, const std::vector<DiffPlace>& places, long limit, bool counts) {
  if (places.empty()) return;
  fmt::print("\n{}\n", title);
  long left = limit;
  for (const DiffPlace& place : places) {
    if (left-- == 0) {
      fmt::print("  … and {} more places\n", places.size() - (size_t)limit);
      return;
    }
    std::string head = counts ? fmt::format("+{} ({} -> {})", place.after - place.before, place.before, place.after)
                              : fmt::format("{}", place.ids.size());
    head += fmt::format(" [{}]", ids_text(place.ids));
    if (place.waited != 0) head += fmt::format(", up to {}", duration_text((int64_t)place.waited));
    fmt::print("  {}\n", head);
    for (auto name = place.place.rbegin(); name != place.place.rend(); ++name) fmt::print("      {}\n", *name);
  }
}

Json json_of_places(const std::vector<DiffPlace>& places, long limit) {
  Json list = Json::array();
  for (const DiffPlace& place : places) {
    if (limit-- == 0) break;
    Json one;
    one["coroutines"] = place.ids;
    one["before"] = place.before;
    one["after"] = place.after;
    one["waited"] = place.waited;
    one["functions"] = std::vector<std::string>(place.place.rbegin(), place.place.rend());
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

int diff(int count, char** words) {
  Options options;
  options.limit = kPlaces;
  const std::vector<Flag> flags = {
      {"-n", "NUMBER", [&](const std::string& word) { options.limit = parse_count("-n", word); }},
      {"--all-frames", nullptr, [&](const std::string&) { options.all_frames = true; }},
  };
  if (!parse_options(count, words, kDiffHelp, flags, &options)) return kFine;
  if (options.operands.size() != 1) throw Failure(kUsage, "weft diff takes two looks, an older and a newer one.");
  options.symbols.lines = false;

  const Side older = take_side(options.target, options), newer = take_side(options.operands[0], options);
  const Difference found = difference(older.coroutines, newer.coroutines);
  const int64_t between = (int64_t)(newer.look->clock() - older.look->clock());
  if (between < 0) warn("the second look is older than the first, or of another machine.");
  if (options.json) {
    Json json = begin_json(*newer.look, "diff");
    json["older"] = {{"name", older.look->target().name()}, {"clock", older.look->clock()}};
    json["between"] = between;
    json["before"] = found.before;
    json["after"] = found.after;
    json["made"] = found.made;
    json["ended"] = found.ended;
    json["stuck"] = json_of_places(found.stuck, options.limit);
    json["grown"] = json_of_places(found.grown, options.limit);
    json["gone"] = json_of_places(found.gone, options.limit);
    print(json);
  } else {
    fmt::print("{} -> {}, {} between: {} -> {} coroutines, {} made, {} ended\n", older.look->target().name(),
               newer.look->target().name(), duration_text(between), with_commas(found.before), with_commas(found.after),
               found.made, found.ended);
    print_places("stuck: not switched to in between", found.stuck, options.limit, false);
    print_places("grown: more than before", found.grown, options.limit, true);
    print_places("gone: ended in between", found.gone, options.limit, false);
  }
  return std::max(older.status, newer.status);
}

}  // namespace weft::inspect
