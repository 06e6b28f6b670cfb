// SPDX-License-Identifier: Apache-2.0
// `weft top`: a process while it runs, in a terminal or once for scripts.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"
#include "rows.h"
#include "top_figures.h"
#include "top_screen.h"

namespace weft::inspect {
namespace {

constexpr long kRows = 10;  // of --once, unless -n says otherwise

void print_once(Look& look, const Options& options, std::chrono::nanoseconds interval) {
  TopWatch watch(look);
  watch.next(options.stop);
  std::this_thread::sleep_for(interval);
  const TopFigures figures = watch.next(options.stop);
  Rows rows(look);
  const std::vector<uint32_t> chosen = rows.select(options);
  if (!chosen.empty()) look.unwind(chosen);
  if (options.json) {
    Json json = begin_json(look, "top");
    add_to(&json, figures);
    Json& list = json["coroutines"] = Json::array();
    for (uint32_t index : chosen) list.push_back(json_of(look, rows, index));
    print(json);
    return;
  }
  for (const std::string& line : lines_of(figures, look)) puts(line.c_str());
  for (const LintFinding& finding : figures.warnings)
    printf("warning: %s: %s\n", finding.rule.c_str(), finding.text.c_str());
  puts("");
  for (const std::string& line : table_of(rows, chosen, 0)) puts(line.c_str());
}

}  // namespace

int top(int count, char** words) {
  Options options;
  options.sort = "-run";
  bool once = false;
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  const std::vector<Flag> flags = {
      {"--once", nullptr, [&](const std::string&) { once = true; }},
      {"--interval", "TIME",
       [&](const std::string& word) {
         interval = std::chrono::nanoseconds(parse_time("--interval", word, kMillisecond, kHour));
       }},
      {"--sort", "COLUMN", [&](const std::string& word) { options.sort = word; }},
      {"--where", "EXPRESSION", [&](const std::string& word) { options.filter = word; }},
      {"-n", "NUMBER", [&](const std::string& word) { options.limit = parse_count("-n", word); }},
  };
  if (!parse_options(count, words, kTopHelp, flags, &options)) return kFine;
  if (!options.operands.empty())
    throw Failure(kUsage, "weft top takes one TARGET; '{}' is too much.", options.operands[0]);
  if (!options.sort.empty()) Rows::check(options.sort.substr(options.sort[0] == '-' ? 1 : 0), "--sort");
  if (!options.filter.empty()) Filter::parse(options.filter, Rows::names());
  if (options.json && !once) throw Failure(kUsage, "weft top --json goes with --once.");
  if (!once && !isatty(STDOUT_FILENO))
    throw Failure(kUsage, "weft top needs a terminal; weft top --once does without.");
  if (once && options.limit < 0) options.limit = kRows;

  Look look(open_target(options.target, options.where), options);
  if (look.target().kind() != Target::Kind::process)
    throw Failure(kUsage, "weft top needs a process; weft ps shows what {} holds.", look.target().name());
  if (once) {
    print_once(look, options, interval);
  } else {
    run_screen(look, options, interval);
  }
  return kFine;
}

}  // namespace weft::inspect
