// SPDX-License-Identifier: Apache-2.0
// The command line: "--flag value" and "--flag=value", flags and operands in any order, "--" ends the flags.
#include "options.h"

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "failure.h"
#include "number_text.h"

namespace weft::inspect {

const char kCommonHelp[] =
    R"(
TARGET is a process id, a core file, or a snapshot that weft snap wrote.

  --json              print JSON (format "weft-inspect", version 1)
  --stop=WHICH        kernel threads that may be stopped for a moment: running
                      (those that run a coroutine on a CPU; the default), all
                      (one instant for everything), none
  --no-stop           the same as --stop=none
  --exe FILE          the executable, where the target's name for it is wrong
  --sysroot DIR       where the target's files are
  --debug-dir DIR     debug information by build-id, beside /usr/lib/debug
  --debuginfod        ask the servers of DEBUGINFOD_URLS for it too
  --timeout TIME      for stopping a thread: 500ms, 10s (the default)
  --unwinder=WHICH    libunwind (the default) or libdw
  --strict            exit status 8 if any stack is not complete
  -h, --help          print this

Exit status: 0 fine, 2 wrong usage, 3 no such target or it cannot be read,
4 permission, 5 not under weft, 6 of another version, 7 truncated, or files of
another build, 8 something is missing and --strict was given.
)";

long parse_count(const char* flag, const std::string& word) {
  char* end = nullptr;
  const long count = strtol(word.c_str(), &end, 10);
  if (word.empty() || *end != '\0' || count < 0) throw Failure(kUsage, "{} takes a number, not '{}'.", flag, word);
  return count;
}

uint64_t parse_time(const char* flag, const std::string& word, uint64_t least, uint64_t most) {
  const std::optional<double> time = parse_number(word);
  if (!time || !(*time >= (double)least && *time <= (double)most))
    throw Failure(kUsage, "{} takes a time from {} to {}, like 500ms or 2s, not '{}'.", flag,
                  duration_text((int64_t)least), duration_text((int64_t)most), word);
  return (uint64_t)*time;
}

std::vector<std::string> parse_list(const std::string& words) {
  std::vector<std::string> result;
  size_t begin = 0;
  while (begin <= words.size()) {
    const size_t end = std::min(words.find(',', begin), words.size());
    if (end > begin) result.push_back(words.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

namespace {

Stop parse_stop(const std::string& word) {
  if (word == "running") return Stop::running;
  if (word == "all") return Stop::all;
  if (word == "none") return Stop::none;
  throw Failure(kUsage, "--stop takes running, all or none, not '{}'.", word);
}

UnwinderKind parse_unwinder(const std::string& word) {
  if (word == "libunwind") return UnwinderKind::libunwind;
  if (word == "libdw") return UnwinderKind::libdw;
  throw Failure(kUsage, "--unwinder takes libunwind or libdw, not '{}'.", word);
}

}  // namespace

bool parse_options(int count, char** words, const char* help, const std::vector<Flag>& own, Options* options) {
  Options& o = *options;
  o.command = words[0];
  std::vector<Flag> flags = own;
  auto add = [&](const char* name, const char* argument, std::function<void(const std::string&)> set) {
    flags.push_back({name, argument, std::move(set)});
  };
  add("--json", nullptr, [&](const std::string&) { o.json = true; });
  add("--strict", nullptr, [&](const std::string&) { o.strict = true; });
  add("--no-stop", nullptr, [&](const std::string&) { o.stop = Stop::none; });
  add("--stop", "WHICH", [&](const std::string& word) { o.stop = parse_stop(word); });
  add("--exe", "FILE", [&](const std::string& word) { o.where.exe = word; });
  add("--sysroot", "DIR", [&](const std::string& word) { o.where.sysroot = word; });
  add("--debug-dir", "DIR", [&](const std::string& word) { o.symbols.debug_dir = word; });
  add("--debuginfod", nullptr, [&](const std::string&) { o.symbols.debuginfod = true; });
  add("--timeout", "TIME", [&](const std::string& word) {
    o.where.timeout_ms = (unsigned)(parse_time("--timeout", word, kMillisecond, kHour) / kMillisecond);
  });
  add("--unwinder", "WHICH", [&](const std::string& word) { o.unwinder = parse_unwinder(word); });
  // For the test that shows what the check is for; in no help.
  add("--no-sequence-check", nullptr, [&](const std::string&) { o.check_sequence = false; });

  bool only_operands = false;
  for (int i = 1; i < count; i++) {
    const std::string word = words[i];
    if (only_operands || word.size() < 2 || word[0] != '-') {
      if (o.target.empty()) {
        o.target = word;
      } else {
        o.operands.push_back(word);
      }
      continue;
    }
    if (word == "--") {
      only_operands = true;
      continue;
    }
    if (word == "-h" || word == "--help") {
      fputs(help, stdout);
      fputs(kCommonHelp, stdout);
      return false;
    }
    const bool is_long = word.starts_with("--");
    const size_t equals = is_long ? word.find('=') : std::string::npos;
    // A short flag may have its value behind it: -n5.
    const std::string name = is_long ? word.substr(0, equals) : word.substr(0, 2);
    const Flag* found = nullptr;
    for (const Flag& flag : flags) {
      if (name == flag.name) found = &flag;
    }
    if (found == nullptr)
      throw Failure(kUsage, "weft {} has no {}; weft {} --help has the list.", o.command, name, o.command);
    const bool has_value = equals != std::string::npos || (!is_long && word.size() > 2);
    if (found->argument == nullptr) {
      if (has_value) throw Failure(kUsage, "{} takes no value.", name);
      found->set("");
    } else if (has_value) {
      found->set(is_long ? word.substr(equals + 1) : word.substr(2));
    } else if (++i < count) {
      found->set(words[i]);
    } else {
      throw Failure(kUsage, "{} needs {}.", name, found->argument);
    }
  }
  if (o.target.empty())
    throw Failure(kUsage, "weft {} needs a TARGET: a process id, a core file or a snapshot.", o.command);
  return true;
}

CopyOptions copy_options(const Options& options) {
  CopyOptions copy;
  copy.stop = options.stop;
  copy.threads = options.threads;
  copy.check_sequence = options.check_sequence;
  return copy;
}

}  // namespace weft::inspect
