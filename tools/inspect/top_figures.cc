// SPDX-License-Identifier: Apache-2.0
// Figures of weft top. Busy is what the kernel says of the carrier's thread, which is right where a stall inside the program is too.
#include "top_figures.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "number_text.h"

namespace weft::inspect {
namespace {

constexpr size_t kBar = 20;

std::vector<std::pair<std::string, size_t>> in_order(const std::map<std::string, size_t>& counts) {
  std::vector<std::pair<std::string, size_t>> result(counts.begin(), counts.end());
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return result;
}

// Numbers of threads in /proc are those of our own pid namespace, those that we have are the target's.
bool is_of_our_namespace(int pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("NSpid:")) return std::count(line.begin(), line.end(), '\t') == 1;
  return false;
}

template <class T>
Json known(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

TopWatch::TopWatch(Look& look) : look_(look), watch_(look), same_namespace_(is_of_our_namespace(look.target().pid())) {}

std::optional<uint64_t> TopWatch::on_cpu(int tid) const {
  if (tid == 0 || !same_namespace_) return std::nullopt;
  std::ifstream file(fmt::format("/proc/{}/task/{}/schedstat", look_.target().pid(), tid));
  uint64_t nanoseconds;
  if (!(file >> nanoseconds)) return std::nullopt;
  return nanoseconds;
}

TopFigures TopWatch::next(Stop stop) {
  TopFigures figures;
  const LintLook found = watch_.next(stop);
  watch_.remember();
  const uint64_t clock = look_.clock();
  if (clock_ != 0 && clock > clock_) figures.interval = clock - clock_;
  const double seconds = figures.interval ? (double)*figures.interval / 1e9 : 0;
  clock_ = clock;
  if (figures.interval) figures.warnings = apply_rules(found.input, {}).findings;

  std::map<std::string, size_t> states, waits;
  for (const StackCopy& copy : look_.stacks().copies) {
    const Coroutine& c = copy.coroutine;
    if (c.id == 0) continue;
    figures.coroutines++;
    states[name_of(c.state)]++;
    if (c.state == State::parked || c.state == State::blocked)
      waits[name_of(c.state == State::blocked ? WaitKind::region : c.wait_kind)]++;
    if (c.longest_run > figures.longest_run) figures.longest_run = c.longest_run, figures.longest_id = c.id;
  }
  figures.states = in_order(states);
  figures.waits = in_order(waits);

  std::map<unsigned, Earlier> now;
  double sum = 0;
  for (const Worker& worker : look_.runtime().workers()) {
    TopWorker one;
    one.index = worker.index;
    one.tid = worker.carrier_tid;
    one.total_switches = worker.switches;
    one.length = worker.length;
    one.sleeping = worker.sleeping;
    if (const Coroutine* running = look_.by_address(worker.running)) one.running = running->id;
    const std::optional<uint64_t> cpu = on_cpu(worker.carrier_tid);
    const auto before = earlier_.find(worker.index);
    if (before != earlier_.end() && figures.interval) {
      one.switches = (double)(worker.switches - before->second.switches) / seconds;
      sum += *one.switches;
      if (cpu && before->second.tid == worker.carrier_tid && *cpu >= before->second.on_cpu)
        one.busy = std::min(1.0, (double)(*cpu - before->second.on_cpu) / 1e9 / seconds);
      if (worker.length == 0) {
        one.delay = 0;
      } else if (*one.switches > 0) {
        one.delay = (int64_t)(1e9 * worker.length / *one.switches);
      }
    }
    now[worker.index] = {worker.switches, cpu.value_or(UINT64_MAX), worker.carrier_tid};
    figures.workers.push_back(one);
  }
  earlier_ = std::move(now);
  if (figures.interval) figures.switches = sum;
  return figures;
}

std::vector<std::string> lines_of(const TopFigures& figures, Look& look) {
  std::vector<std::string> lines;
  std::string line = fmt::format("{}: {}", look.target().name(), coroutines_text(figures.coroutines));
  for (const auto& [name, count] : figures.states) line += fmt::format(", {} {}", with_commas(count), name);
  lines.push_back(line);
  line = figures.switches ? fmt::format("{} switches/s", with_commas((uint64_t)*figures.switches)) : "first look";
  if (figures.longest_run != 0)
    line +=
        fmt::format(", longest run {} (coroutine {})", duration_text((int64_t)figures.longest_run), figures.longest_id);
  line += fmt::format(", {} warning{}", figures.warnings.size(), figures.warnings.size() == 1 ? "" : "s");
  lines.push_back(line);
  for (const TopWorker& worker : figures.workers) {
    const size_t filled = worker.busy ? (size_t)(*worker.busy * kBar + 0.5) : 0;
    line = fmt::format("worker {:<3} [{}{}] {:>6} busy, {:>10} switches/s, queue {:<5} delay {:<7}", worker.index,
                       std::string(filled, '#'), std::string(kBar - filled, ' '),
                       worker.busy ? fmt::format("{:.1f}%", 100 * *worker.busy) : "?",
                       worker.switches ? with_commas((uint64_t)*worker.switches) : "?", worker.length,
                       worker.delay ? duration_text(*worker.delay) : "?");
    line += worker.sleeping ? "asleep" : worker.running != 0 ? fmt::format("runs {}", worker.running) : "";
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(line);
  }
  if (!figures.waits.empty()) {
    line = "waits";
    for (const auto& [name, count] : figures.waits) line += fmt::format("  {} {}", name, with_commas(count));
    lines.push_back(line);
  }
  return lines;
}

void add_to(Json* json, const TopFigures& figures) {
  Json& out = *json;
  out["interval"] = known(figures.interval);
  out["switchesPerSecond"] = known(figures.switches);
  out["longestRun"] = {{"nanoseconds", figures.longest_run}, {"coroutine", figures.longest_id}};
  Json& waits = out["waits"] = Json::object();
  for (const auto& [name, count] : figures.waits) waits[name] = count;
  Json& workers = out["workers"] = Json::array();
  for (const TopWorker& worker : figures.workers) {
    Json one;
    one["index"] = worker.index;
    one["switches"] = worker.total_switches;
    one["queue"] = worker.length;
    one["sleeping"] = worker.sleeping;
    one["carrier"] = worker.tid;
    one["running"] = worker.running == 0 ? Json(nullptr) : Json(worker.running);
    one["switchesPerSecond"] = known(worker.switches);
    one["busy"] = known(worker.busy);
    one["queueDelay"] = known(worker.delay);
    workers.push_back(std::move(one));
  }
  Json& warnings = out["warnings"] = Json::array();
  for (const LintFinding& finding : figures.warnings)
    warnings.push_back({{"rule", finding.rule}, {"text", finding.text}});
}

}  // namespace weft::inspect
