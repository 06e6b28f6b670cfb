// SPDX-License-Identifier: Apache-2.0
// weft trace: who ran where and what was waited for, over a while, as a file that Perfetto and browsers open.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "chrome_trace.h"
#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"
#include "timeline.h"

namespace weft::inspect {

namespace {

constexpr uint64_t kLongest = 600'000'000'000;  // ten minutes: a busy worker writes some hundred megabytes in a second

class File {
 public:
  explicit File(const std::string& name) : name_(name), file_(fopen(name.c_str(), "we")) {
    if (file_ == nullptr) throw Failure(kNoTarget, "cannot write {}: {}.", name, strerror(errno));
  }
  ~File() {
    if (file_ != nullptr) fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(const std::string& text) {
    if (fwrite(text.data(), 1, text.size(), file_) != text.size()) fail();
  }
  void close() {
    FILE* closed = file_;
    file_ = nullptr;
    if (fclose(closed) != 0) fail();
  }

 private:
  [[noreturn]] void fail() {
    throw Failure(kNoTarget, "cannot write {}: {}. What is there is not whole.", name_, strerror(errno));
  }
  std::string name_;
  FILE* file_;
};

}  // namespace

int trace(int count, char** words) {
  Options options;
  uint64_t duration = 2'000'000'000;
  const std::vector<Flag> flags = {
      {"-d", "TIME", [&](const std::string& word) { duration = parse_time("-d", word, kMillisecond, kLongest); }},
      {"-o", "FILE", [&](const std::string& word) { options.output = word; }},
  };
  if (!parse_options(count, words, kTraceHelp, flags, &options)) return kFine;
  if (options.output.empty()) throw Failure(kUsage, "weft trace needs -o FILE.");
  if (!options.operands.empty())
    throw Failure(kUsage, "weft trace takes one TARGET; '{}' is too much.", options.operands[0]);

  File file(options.output);  // before the target is asked for anything
  options.symbols.lines = false;
  Look look(open_target(options.target, options.where), options);
  const Timeline timeline = record(look.target(), look.runtime(), duration);
  CopyOptions slots = copy_options(options);
  slots.stacks = false;
  look.take(slots);

  TraceNames names;
  names.pid = look.target().pid();
  names.process = look.target().name();
  names.coroutine = [&](uint32_t id) {
    const Coroutine* coroutine = look.by_id(id);
    return coroutine == nullptr || coroutine->name.empty() ? fmt::format("#{}", id)
                                                           : fmt::format("{} #{}", coroutine->name, id);
  };
  names.routine = [&](uint64_t address) { return look.symbols().text(look.symbols().at(address, true)); };
  write_chrome_trace(timeline, names, [&](const std::string& text) { file.write(text); });
  file.close();

  size_t events = 0;
  for (const auto& ring : timeline.ring) events += ring.size();
  if (options.json) {
    Json json = begin_json(look, "trace");
    json["file"] = options.output;
    json["events"] = events;
    json["lost"] = timeline.lost;
    json["nanoseconds"] = timeline.end - timeline.begin;
    print(json);
    return timeline.lost != 0 && options.strict ? kPartial : kFine;
  }
  printf("%s: %s events in %.3f s%s\n", options.output.c_str(), with_commas(events).c_str(),
         (double)(timeline.end - timeline.begin) / 1e9,
         timeline.lost != 0 ? fmt::format(", {} lost", with_commas(timeline.lost)).c_str() : "");
  if (timeline.was_asleep) printf("All its coroutines were parked all the time.\n");
  return timeline.lost != 0 && options.strict ? kPartial : kFine;
}

}  // namespace weft::inspect
