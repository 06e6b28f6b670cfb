// SPDX-License-Identifier: Apache-2.0
// `weft lint`: what is wrong, each with its rule, its figures, its threshold, and the stacks of those it is about.
#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "frame_text.h"
#include "json_output.h"
#include "lint_look.h"
#include "number_text.h"
#include "options.h"
#include "wait_object.h"

namespace weft::inspect {
namespace {

constexpr uint64_t kInterval = 1'000'000'000;  // between the looks at a live process
constexpr uint64_t kDay = 24 * kHour;
constexpr size_t kShownMembers = 16;  // of a finding, in text; JSON has all

// A threshold: of nothing at all it would be none.
unsigned parse_amount(const char* flag, const std::string& word, unsigned most) {
  const long amount = parse_count(flag, word);
  if (amount == 0 || amount > (long)most)
    throw Failure(kUsage, "{} takes a number from 1 to {}, not '{}'.", flag, most, word);
  return (unsigned)amount;
}

std::string figure_text(const LintFigure& figure) {
  switch (figure.unit) {
    case LintFigure::nanoseconds:
      return fmt::format("{} {}", figure.name, duration_text(whole(figure.value)));
    case LintFigure::bytes:
      return fmt::format("{} {}", figure.name, size_text((uint64_t)whole(figure.value)));
    case LintFigure::percent:
      return fmt::format("{} {:.1f} %", figure.name, figure.value);
    default:
      return fmt::format("{} {:.0f}", figure.name, figure.value);
  }
}

std::string figures_text(const std::vector<LintFigure>& figures) {
  std::string words;
  for (const LintFigure& figure : figures) words += (words.empty() ? "" : ", ") + figure_text(figure);
  return words;
}

Json figures_json(const std::vector<LintFigure>& figures) {
  static constexpr const char* kUnits[] = {"count", "nanoseconds", "bytes", "percent", "number"};
  Json all = Json::array();
  for (const LintFigure& figure : figures)
    all.push_back({{"name", figure.name}, {"value", figure.value}, {"unit", kUnits[figure.unit]}});
  return all;
}

class Report {
 public:
  Report(Look& look, const LintLook& found, const LintResult& result, const Options& options)
      : look_(look), found_(found), result_(result), options_(options) {
    std::set<uint32_t> shown;
    for (const LintFinding& finding : result.findings)
      for (uint32_t member : finding.members) shown.insert(found.copy[member]);
    if (!shown.empty()) look.unwind({shown.begin(), shown.end()});
  }

  void print_text() {
    if (result_.findings.empty()) fmt::print("nothing found in {}\n", coroutines_text(coroutines()));
    for (const LintFinding& finding : result_.findings) print(finding);
    for (const LintResult::Rule& rule : result_.rules)
      if (!rule.left_out.empty()) fmt::print("not looked for: {} ({})\n", rule.name, rule.left_out);
  }

  void print_json() {
    Json document = begin_json(look_, "lint");
    Json& findings = document["findings"] = Json::array();
    for (const LintFinding& finding : result_.findings) {
      Json one;
      one["rule"] = finding.rule;
      one["text"] = finding.text;
      one["figures"] = figures_json(finding.figures);
      one["thresholds"] = figures_json(finding.thresholds);
      Json& members = one["members"] = Json::array();
      for (uint32_t member : finding.members) members.push_back(json_of_member(member));
      findings.push_back(std::move(one));
    }
    Json& rules = document["rules"] = Json::array();
    for (const LintResult::Rule& rule : result_.rules) {
      Json one;
      one["name"] = rule.name;
      one["meaning"] = rule.meaning;
      one["leftOut"] = rule.left_out.empty() ? Json(nullptr) : Json(rule.left_out);
      rules.push_back(std::move(one));
    }
    inspect::print(document);
  }

 private:
  size_t coroutines() const {
    size_t count = 0;
    for (const LintMember& member : found_.input.members) count += member.id != 0;
    return count;
  }
  const StackCopy& copy_of(uint32_t member) const { return look_.stacks().copies[found_.copy[member]]; }

  std::string site_of(uint32_t member) {
    const uint64_t site = copy_of(member).coroutine.creation_pc;
    if (site == 0) return {};
    const Named& named = look_.symbols().at(site, false);
    const Location& location = named.locations.front();
    std::string words = look_.symbols().short_text(named);
    if (!location.file.empty()) words += fmt::format(" at {}:{}", location.file, location.line);
    return words;
  }

  void print(const LintFinding& finding) {
    fmt::print("{}: {}\n", finding.rule, finding.text);
    // Many that stand at one place are shown once.
    std::map<const Group*, size_t> shown;
    size_t printed = 0, left = 0;
    for (uint32_t member : finding.members) {
      const Group* group = look_.group_of(found_.copy[member]);
      const bool in_circle = finding.rule == "deadlock";
      if ((!in_circle && group != nullptr && shown[group]++ > 0) || printed == kShownMembers) {
        left++;
        continue;
      }
      printed++;
      print(member, group);
    }
    if (left != 0) fmt::print("  and {} more\n", left);
    fmt::print("  figures: {}\n", figures_text(finding.figures));
    fmt::print("  threshold: {}\n",
               finding.thresholds.empty() ? "none, once is too much" : figures_text(finding.thresholds));
    for (const LintResult::Rule& rule : result_.rules)
      if (rule.name == finding.rule) fmt::print("  rule: {}\n", rule.meaning);
    fmt::print("\n");
  }

  void print(uint32_t member, const Group* group) {
    const StackCopy& copy = copy_of(member);
    const LintMember& data = found_.input.members[member];
    std::string line = copy.coroutine.id == 0 ? fmt::format("kernel thread {}", copy.thread)
                                              : fmt::format("coroutine {}", copy.coroutine.id);
    if (!copy.coroutine.name.empty()) line += fmt::format(" \"{}\"", copy.coroutine.name);
    if (copy.coroutine.id != 0) {
      line += fmt::format(", {}", name_of(copy.coroutine.state));
      const std::string waits = text(waited_for(look_, found_.copy[member]));
      if (!waits.empty()) line += ": " + waits;
      if (data.waited != 0) line += fmt::format(", since {}", duration_text((int64_t)data.waited));
      const std::string site = site_of(member);
      if (!site.empty()) line += ", made in " + site;
    }
    fmt::print("  {}\n", line);
    if (group == nullptr) return;
    for (const std::string& frame : frame_lines(look_, group->trace, options_.all_frames))
      fmt::print("      {}\n", frame);
  }

  Json json_of_member(uint32_t member) {
    const StackCopy& copy = copy_of(member);
    const LintMember& data = found_.input.members[member];
    Json one;
    one["id"] = copy.coroutine.id;
    one["tid"] = data.tid;
    one["name"] = copy.coroutine.name;
    if (copy.coroutine.id != 0) {
      one["state"] = name_of(copy.coroutine.state);
      one["waitsFor"] = text(waited_for(look_, found_.copy[member]));
      one["madeIn"] = site_of(member);
    }
    if (data.waited != 0) one["waited"] = data.waited;
    if (data.holder) one["heldBy"] = found_.input.members[*data.holder].id;
    if (data.joins) one["joins"] = found_.input.members[*data.joins].id;
    const Group* group = look_.group_of(found_.copy[member]);
    one["frames"] = group == nullptr ? Json::array() : json_of(look_, *group, options_.all_frames)["frames"];
    return one;
  }

  Look& look_;
  const LintLook& found_;
  const LintResult& result_;
  const Options& options_;
};

}  // namespace

int lint(int count, char** words) {
  Options options;
  LintThresholds thresholds;
  uint64_t interval = kInterval;
  const auto time = [](const char* name, uint64_t* to) {
    return Flag{name, "TIME", [=](const std::string& word) { *to = parse_time(name, word, kMillisecond, kDay); }};
  };
  const auto number = [](const char* name, unsigned* to) {
    return Flag{name, "NUMBER", [=](const std::string& word) { *to = parse_amount(name, word, UINT_MAX); }};
  };
  const std::vector<Flag> flags = {
      {"--all-frames", nullptr, [&](const std::string&) { options.all_frames = true; }},
      time("--interval", &interval),
      time("--starvation", &thresholds.starvation),
      {"--stack", "PERCENT",
       [&](const std::string& word) { thresholds.stack_percent = parse_amount("--stack", word, 100); }},
      number("--unjoined", &thresholds.unjoined),
      time("--unjoined-age", &thresholds.unjoined_age),
      number("--piled-up", &thresholds.piled_up),
      time("--piled-up-age", &thresholds.piled_up_age),
      time("--mailbox-full", &thresholds.mailbox_full),
  };
  if (!parse_options(count, words, kLintHelp, flags, &options)) return kFine;
  if (!options.operands.empty())
    throw Failure(kUsage, "weft lint takes one TARGET; '{}' is too much.", options.operands[0]);
  Look look(open_target(options.target, options.where), options);
  LintWatch watch(look);
  LintLook found = watch.next(options.stop);
  if (look.target().kind() == Target::Kind::process) {
    watch.remember();
    // Between the looks nothing shorter can be told from what lasts as long as a threshold.
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::max(interval, thresholds.starvation)));
    found = watch.next(options.stop);
    // What a kernel thread is in cannot be seen without stopping it. Where no coroutine runs it harms nobody.
    if (all_coroutines_wait(found.input) && options.stop == Stop::running) found = watch.next(Stop::all);
  }
  const LintResult result = apply_rules(found.input, thresholds);
  Report report(look, found, result, options);
  if (options.json) {
    report.print_json();
  } else {
    report.print_text();
  }
  // What was found holds whatever else is missing.
  const int status = look.status(options.strict);
  return result.findings.empty() ? status : kFound;
}

}  // namespace weft::inspect
