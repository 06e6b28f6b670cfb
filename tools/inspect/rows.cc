// SPDX-License-Identifier: Apache-2.0
// The values of a row. What needs names of functions or takes another look into the target is made only when it is asked for.
#include "rows.h"

#include <algorithm>
#include <numeric>

#include "failure.h"
#include "number_text.h"
#include "stack_use.h"

namespace weft::inspect {

namespace {

Value number(double value) { return {value, fmt::format("{}", value), true}; }
Value words(std::string text) { return {std::nullopt, std::move(text), true}; }
Value unknown() { return {std::nullopt, "", false}; }

constexpr const char* kDurations[] = {"since", "run", "longest", "age", "left"};
constexpr const char* kSizes[] = {"stack", "high_water", "stack_size"};

template <size_t N>
bool is_among(const std::string& name, const char* const (&list)[N]) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

const std::vector<std::string>& Rows::names() {
  static const std::vector<std::string> kNames = {
      "id",      "state",      "wait",       "waits",  "since",      "run",    "longest", "switches",
      "stack",   "high_water", "stack_size", "name",   "top",        "frame",  "start",   "fd",
      "peer",    "object",     "owner",      "target", "left",       "pinned", "age",     "creator",
      "created", "tid",        "carrier",    "worker", "generation", "slot",   "ending",  "in"};
  return kNames;
}

void Rows::check(const std::string& name, const char* flag) {
  if (std::find(names().begin(), names().end(), name) != names().end()) return;
  std::string list;
  for (const std::string& each : names()) list += (list.empty() ? "" : ", ") + each;
  throw Failure(kUsage, "{}: there is no '{}'; names are {}.", flag, name, list);
}

bool Rows::needs_stack(const std::string& name) {
  return name == "top" || name == "frame" || name == "ending" || name == "waits" || name == "in";
}

const WaitedFor& Rows::waited(uint32_t copy) {
  auto found = waited_.find(copy);
  if (found == waited_.end()) found = waited_.emplace(copy, waited_for(look_, copy)).first;
  return found->second;
}

const std::string& Rows::frames(const Group& group) {
  std::string& all = frames_[group.id];
  if (!all.empty()) return all;
  for (const Frame& frame : look_.shown(group.trace, true)) {
    const Named& named = look_.symbols().at(frame);
    for (const Location& location : named.locations) all += location.function + "\n";
    if (named.function().function.empty()) all += look_.symbols().text(named) + "\n";
  }
  return all;
}

std::string Rows::place(uint64_t address, bool exact) {
  return address == 0 ? "" : look_.symbols().short_text(look_.symbols().at(address, exact));
}

Value Rows::value(uint32_t index, const std::string& name) {
  const StackCopy& copy = look_.stacks().copies[index];
  const Coroutine& c = copy.coroutine;
  const uint64_t now = look_.clock();
  auto elapsed = [&](uint64_t since) { return number(now > since ? (double)(now - since) : 0.); };
  if (name == "id") return number(c.id);
  if (name == "state") return words(name_of(c.state));
  if (name == "since")
    return c.since && (c.state == State::parked || c.state == State::blocked) ? elapsed(*c.since) : unknown();
  if (name == "run") return number((double)c.run_time);
  if (name == "longest") return number((double)c.longest_run);
  if (name == "switches") return number((double)c.switches());
  if (name == "stack" || name == "high_water") {
    const std::optional<uint64_t> bytes = name == "stack" ? stack_used(copy) : stack_reached(look_, copy);
    return bytes ? number((double)*bytes) : unknown();
  }
  if (name == "stack_size") return number((double)c.stack_size);
  if (name == "name") return words(c.name);
  if (name == "age") return c.born == 0 ? unknown() : elapsed(c.born);
  if (name == "creator") return number(c.creator);
  if (name == "tid") return number(c.tid);
  if (name == "carrier") return c.carrier_tid == 0 ? unknown() : number(c.carrier_tid);
  if (name == "worker") return c.worker_index < 0 ? unknown() : number(c.worker_index);
  if (name == "generation") return number(c.generation);
  if (name == "slot") return number(c.slot);
  if (name == "start") return words(place(c.start, true));
  if (name == "created") return words(place(c.creation_pc, false));
  if (const Group* group = look_.group_of(index)) {
    if (name == "ending") return words(name_of(group->trace.ending));
    if (name == "frame") return words(frames(*group));
    if (name == "top") {
      const Frame* top = look_.top(group->trace);
      return top == nullptr ? words(std::string("? (") + name_of(group->trace.ending) + ")")
                            : words(look_.symbols().short_text(look_.symbols().at(*top)));
    }
  } else if (name == "ending" || name == "frame" || name == "top") {
    return unknown();
  }
  if (name == "wait") return words(kind_of_wait(copy));
  const WaitedFor& w = waited(index);
  if (name == "waits") return words(text(w));
  if (name == "in") return words(w.function);
  if (name == "fd") return w.fds.empty() ? unknown() : number(w.fds[0]);
  if (name == "peer") {
    std::string peers;
    for (const Descriptor& descriptor : w.descriptors)
      if (!descriptor.peer.empty()) peers += (peers.empty() ? "" : ", ") + descriptor.peer;
    return w.descriptors.empty() ? unknown() : words(peers);
  }
  if (name == "object")
    return w.object == 0 ? unknown() : Value{(double)w.object, fmt::format("{:#x}", w.object), true};
  if (name == "owner") return w.owner ? number(*w.owner) : w.owner_tid != 0 ? number(w.owner_tid) : unknown();
  if (name == "target") return w.target ? number(*w.target) : unknown();
  if (name == "left") return w.left ? number((double)*w.left) : unknown();
  if (name == "pinned") return words(w.pinned);
  return unknown();
}

std::string Rows::cell(uint32_t index, const std::string& name) {
  const Value it = value(index, name);
  if (!it.known) return "-";
  if (it.number && is_among(name, kDurations)) return duration_text(whole(*it.number));
  if (it.number && is_among(name, kSizes)) return size_text((uint64_t)whole(*it.number));
  if (it.number && name != "object") return fmt::format("{:.0f}", *it.number);
  if (name == "frame") return "-";
  return it.text.empty() ? "-" : it.text;
}

std::vector<uint32_t> Rows::select(const Options& options) {
  std::vector<uint32_t> chosen;
  const Filter filter = options.filter.empty() ? Filter() : Filter::parse(options.filter, names());
  for (uint32_t i = 0; i < look_.stacks().copies.size(); i++) {
    if (filter.matches([&](const std::string& name) { return value(i, name); })) chosen.push_back(i);
  }
  if (!options.sort.empty()) {
    const bool descending = options.sort[0] == '-';
    const std::string name = options.sort.substr(descending ? 1 : 0);
    check(name, "--sort");
    std::map<uint32_t, Value> keys;
    for (uint32_t i : chosen) keys[i] = value(i, name);
    std::stable_sort(chosen.begin(), chosen.end(), [&](uint32_t a, uint32_t b) {
      const Value &x = keys[a], &y = keys[b];
      if (x.known != y.known) return x.known;  // what is not known comes last, either way
      const bool numbers = x.number && y.number;
      if (descending) return numbers ? *x.number > *y.number : x.text > y.text;
      return numbers ? *x.number < *y.number : x.text < y.text;
    });
  }
  if (options.limit >= 0 && chosen.size() > (size_t)options.limit) chosen.resize((size_t)options.limit);
  return chosen;
}

}  // namespace weft::inspect
