// SPDX-License-Identifier: Apache-2.0
// weft ps: the list of coroutines, chosen, ordered and counted.
#include <algorithm>
#include <cstdio>
#include <map>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "json_output.h"
#include "look.h"
#include "options.h"
#include "plain_output.h"
#include "rows.h"

namespace weft::inspect {

namespace {

const std::vector<std::string> kColumns = {"id", "state", "waits", "since", "run", "switches", "stack", "name", "top"};

bool is_right_aligned(const std::string& name) {
  for (const char* each :
       {"id", "since", "run", "longest", "switches", "stack", "high_water", "stack_size", "age", "left", "fd"}) {
    if (name == each) return true;
  }
  return false;
}

void print_table(Rows& rows, const std::vector<uint32_t>& chosen, const std::vector<std::string>& columns) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> width;
  for (const std::string& column : columns) width.push_back(column.size());
  for (uint32_t index : chosen) {
    std::vector<std::string> row;
    for (size_t i = 0; i < columns.size(); i++) {
      row.push_back(plain(rows.cell(index, columns[i])));  // as wide as it will be
      width[i] = std::max(width[i], row.back().size());
    }
    cells.push_back(std::move(row));
  }
  auto print_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++) {
      const std::string padding(width[i] - row[i].size(), ' ');
      line += (i == 0 ? "" : "  ") + (is_right_aligned(columns[i]) ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    puts(line.c_str());
  };
  std::vector<std::string> heads;
  for (std::string head : columns) {
    std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return (char)toupper(c); });
    heads.push_back(head);
  }
  print_row(heads);
  for (const std::vector<std::string>& row : cells) print_row(row);
}

// How many have each value of a column, the most frequent first.
std::vector<std::pair<std::string, size_t>> counts(Rows& rows, const std::vector<uint32_t>& chosen,
                                                   const std::string& column) {
  std::map<std::string, size_t> count;
  for (uint32_t index : chosen) count[rows.cell(index, column)]++;
  std::vector<std::pair<std::string, size_t>> result(count.begin(), count.end());
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return result;
}

}  // namespace

int ps(int count, char** words) {
  Options options;
  const std::vector<Flag> flags = {
      {"--where", "EXPRESSION", [&](const std::string& word) { options.filter = word; }},
      {"--sort", "COLUMN", [&](const std::string& word) { options.sort = word; }},
      {"-n", "NUMBER", [&](const std::string& word) { options.limit = parse_count("-n", word); }},
      {"--columns", "LIST", [&](const std::string& word) { options.columns = parse_list(word); }},
      {"--group", "BY", [&](const std::string& word) { options.group = word; }},
  };
  if (!parse_options(count, words, kPsHelp, flags, &options)) return kFine;
  if (!options.operands.empty())
    throw Failure(kUsage, "weft ps takes one TARGET; '{}' is too much.", options.operands[0]);
  const std::vector<std::string>& columns = options.columns.empty() ? kColumns : options.columns;
  for (const std::string& column : columns) Rows::check(column, "--columns");
  if (!options.sort.empty()) Rows::check(options.sort.substr(options.sort[0] == '-' ? 1 : 0), "--sort");
  if (!options.group.empty()) {
    for (const char* by : {"state", "wait", "top", "start", ""}) {
      if (options.group == by) break;
      if (*by == '\0') throw Failure(kUsage, "--group takes state, wait, top or start, not '{}'.", options.group);
    }
  }
  if (!options.filter.empty()) Filter::parse(options.filter, Rows::names());

  options.symbols.lines = false;  // functions alone are printed
  Look look(open_target(options.target, options.where), options);
  look.take(copy_options(options));
  look.unwind();
  Rows rows(look);
  const std::vector<uint32_t> chosen = rows.select(options);

  if (options.json) {
    Json json = begin_json(look, "ps");
    if (!options.group.empty()) {
      Json& groups = json["groups"] = Json::array();
      for (const auto& [value, number] : counts(rows, chosen, options.group))
        groups.push_back({{options.group, value}, {"count", number}});
    }
    Json& list = json["coroutines"] = Json::array();
    for (uint32_t index : chosen) list.push_back(json_of(look, rows, index));
    print(json);
  } else {
    puts(summary_line(look).c_str());
    if (!options.group.empty()) {
      for (const auto& [value, number] : counts(rows, chosen, options.group))
        printf("%8zu  %s\n", number, value.c_str());
    } else {
      print_table(rows, chosen, columns);
    }
  }
  return look.status(options.strict);
}

}  // namespace weft::inspect
