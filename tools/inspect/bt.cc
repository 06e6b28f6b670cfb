// SPDX-License-Identifier: Apache-2.0
// weft bt: stacks. Those that are alike are printed once, with how many coroutines stand there, which, and for how long.
#include <algorithm>
#include <cstdio>
#include <map>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "frame_text.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"
#include "rows.h"

namespace weft::inspect {

namespace {

// "1-3,7": ids in order, runs of them shortened; not more than a line's worth.
std::string id_list(std::vector<uint32_t> ids) {
  constexpr size_t kLonger = 60;
  std::sort(ids.begin(), ids.end());
  std::string words;
  for (size_t i = 0; i < ids.size();) {
    size_t end = i + 1;
    while (end < ids.size() && ids[end] == ids[end - 1] + 1) end++;
    if (words.size() > kLonger) return words + fmt::format(" … {}", ids.back());
    words += (words.empty() ? "" : ",") + std::to_string(ids[i]);
    if (end - i > 1) words += (end - i > 2 ? "-" : ",") + std::to_string(ids[end - 1]);
    i = end;
  }
  return words;
}

class Printer {
 public:
  Printer(Look& look, Rows& rows, const Options& options) : look_(look), rows_(rows), options_(options) {}

  void print_group(const Group& group) {
    std::vector<uint32_t> ids;
    std::vector<int> threads;
    int64_t youngest = INT64_MAX, oldest = -1;
    std::map<std::string, size_t> doing;
    for (uint32_t member : group.members) {
      const StackCopy& copy = look_.stacks().copies[member];
      if (copy.coroutine.id == 0) {
        threads.push_back(copy.thread);
        continue;
      }
      ids.push_back(copy.coroutine.id);
      const Value since = rows_.value(member, "since");
      if (since.known) {
        youngest = std::min(youngest, whole(*since.number));
        oldest = std::max(oldest, whole(*since.number));
      }
      const std::string wait = rows_.value(member, "wait").text;
      doing[rows_.cell(member, "state") + (wait.empty() ? "" : " " + wait)]++;
    }
    std::string head;
    if (!ids.empty())
      head = fmt::format("{} coroutine{} [{}]", with_commas(ids.size()), ids.size() == 1 ? "" : "s", id_list(ids));
    for (int tid : threads) head += fmt::format("{}thread {}", head.empty() ? "" : ", ", tid);
    for (const auto& [what, count] : doing)
      head += (doing.size() == 1 ? ", " : fmt::format(", {} ", with_commas(count))) + what;
    if (oldest >= 0) {
      head += youngest == oldest ? fmt::format(", for {}", duration_text(oldest))
                                 : fmt::format(", for {} to {}", duration_text(youngest), duration_text(oldest));
    }
    puts(head.c_str());
    print_frames(group);
  }

  void print_one(uint32_t index) {
    const StackCopy& copy = look_.stacks().copies[index];
    const Coroutine& c = copy.coroutine;
    std::string head = c.id == 0 ? fmt::format("thread {}", copy.thread) : fmt::format("coroutine {}", c.id);
    if (!c.name.empty()) head += fmt::format(" \"{}\"", c.name);
    if (c.id != 0) {
      head += ", " + rows_.cell(index, "state");
      const std::string waits = text(rows_.waited(index));
      if (!waits.empty()) head += " " + waits;
      const Value since = rows_.value(index, "since");
      if (since.known) head += ", for " + duration_text(whole(*since.number));
    }
    puts(head.c_str());
    if (const Group* group = look_.group_of(index)) {
      print_frames(*group);
    } else {
      puts("    no stack\n");
    }
  }

 private:
  void print_frames(const Group& group) {
    const std::vector<Frame> frames = look_.shown(group.trace, options_.all_frames);
    long number = 0;
    for (const Frame& frame : frames) {
      if (options_.depth >= 0 && number >= options_.depth) {
        printf("    … %zu more\n", frames.size() - (size_t)number);
        break;
      }
      const Named& named = look_.symbols().at(frame);
      for (size_t i = 0; i < named.locations.size(); i++) {
        const Location& location = named.locations[i];
        if (location.inlined && !options_.inlined) continue;
        puts(fmt::format("    #{:<3}{}", number, location_text(look_.symbols(), named, location)).c_str());
      }
      number++;
    }
    if (group.trace.ending != Ending::complete) {
      printf("    %s%s\n", name_of(group.trace.ending),
             group.trace.where == 0 ? "" : fmt::format(" at {:#x}", group.trace.where).c_str());
    }
    puts("");
  }

  Look& look_;
  Rows& rows_;
  const Options& options_;
};

// Ids given behind the target, as indices.
std::vector<uint32_t> wanted_copies(Look& look, Rows& rows, const Options& options) {
  if (options.operands.empty()) return {};
  std::vector<uint32_t> result;
  for (const std::string& word : options.operands) {
    const long id = parse_count("an ID", word);
    bool found = false;
    for (uint32_t i = 0; i < look.stacks().copies.size(); i++) {
      if (look.stacks().copies[i].coroutine.id == (uint32_t)id && id != 0) {
        result.push_back(i);
        found = true;
      }
    }
    if (!found) throw Failure(kNoTarget, "{} has no coroutine {}; weft ps lists them.", look.target().name(), id);
  }
  return result;
}

}  // namespace

int bt(int count, char** words) {
  Options options;
  const std::vector<Flag> flags = {
      {"--where", "EXPRESSION", [&](const std::string& word) { options.filter = word; }},
      {"-n", "NUMBER", [&](const std::string& word) { options.limit = parse_count("-n", word); }},
      {"--depth", "NUMBER", [&](const std::string& word) { options.depth = parse_count("--depth", word); }},
      {"--each", nullptr, [&](const std::string&) { options.each = true; }},
      {"--inline", nullptr, [&](const std::string&) { options.inlined = true; }},
      {"--all-frames", nullptr, [&](const std::string&) { options.all_frames = true; }},
      {"--threads", nullptr, [&](const std::string&) { options.threads = true; }},
  };
  if (!parse_options(count, words, kBtHelp, flags, &options)) return kFine;
  if (!options.filter.empty()) Filter::parse(options.filter, Rows::names());

  Look look(open_target(options.target, options.where), options);
  look.take(copy_options(options));
  Rows rows(look);
  std::vector<uint32_t> chosen = wanted_copies(look, rows, options);
  look.unwind(chosen);
  if (options.operands.empty()) {
    Options all = options;
    all.limit = options.each ? options.limit : -1;
    chosen = rows.select(all);
    if (!options.filter.empty() && !chosen.empty()) look.unwind(chosen);
  }

  if (options.json) {
    Json json = begin_json(look, "bt");
    Json& list = json["coroutines"] = Json::array();
    for (uint32_t index : chosen) {
      if (look.stacks().copies[index].coroutine.id != 0) list.push_back(json_of(look, rows, index));
    }
    Json& stacks = json["stacks"] = Json::array();
    if (!chosen.empty()) {
      for (const Group& group : look.groups()) stacks.push_back(json_of(look, group, options.all_frames));
    }
    print(json);
  } else {
    printf("%s\n\n", summary_line(look).c_str());
    Printer printer(look, rows, options);
    if (options.each || !options.operands.empty()) {
      for (uint32_t index : chosen) printer.print_one(index);
    } else if (!chosen.empty()) {
      long left = options.limit;
      for (const Group& group : look.groups()) {
        if (left-- == 0) break;
        printer.print_group(group);
      }
    }
  }
  return look.status(options.strict);
}

}  // namespace weft::inspect
