// SPDX-License-Identifier: Apache-2.0
// Coroutines, stacks and the summary as JSON and as the one line that begins what people read.
#include "json_output.h"

#include <cstdio>

#include "failure.h"
#include "number_text.h"

namespace weft::inspect {

std::string address(uint64_t value) { return fmt::format("{:#x}", value); }

namespace {

constexpr State kStates[] = {State::running, State::ready, State::parked, State::blocked, State::finished};

size_t count_in(const Look& look, State state) {
  size_t count = 0;
  for (const StackCopy& copy : look.stacks().copies) count += copy.coroutine.id != 0 && copy.coroutine.state == state;
  return count;
}

size_t count_all(const Look& look) {
  size_t count = 0;
  for (const StackCopy& copy : look.stacks().copies) count += copy.coroutine.id != 0;
  return count;
}

const char* kind_of(const Target& target) {
  switch (target.kind()) {
    case Target::Kind::process:
      return "process";
    case Target::Kind::core:
      return "core";
    case Target::Kind::snapshot:
      return "snapshot";
  }
  return "";
}

Json optional_number(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

Json json_summary(const Look& look) {
  Json states = Json::object();
  for (State state : kStates) states[name_of(state)] = count_in(look, state);
  return states;
}

Json begin_json(Look& look, const std::string& command) {
  Json json;
  json["format"] = "weft-inspect";
  json["formatVersion"] = 1;
  json["command"] = command;
  json["target"] = {{"kind", kind_of(look.target())}, {"name", look.target().name()}, {"pid", look.target().pid()}};
  json["descriptor"] = fmt::format("{}.{}", look.runtime().header().major, look.runtime().header().minor);
  json["clock"] = look.clock();
  json["coherent"] = look.stacks().coherent;
  json["stoppedThreads"] = look.stacks().stopped;
  json["stoppedNanoseconds"] = look.target().stopped_nanoseconds();
  json["states"] = json_summary(look);
  return json;
}

Json json_of(Look& look, Rows& rows, uint32_t index) {
  const StackCopy& copy = look.stacks().copies[index];
  const Coroutine& c = copy.coroutine;
  const WaitedFor& w = rows.waited(index);
  Json wait = nullptr;
  if (!w.kind.empty()) {
    wait = Json::object();
    wait["kind"] = w.kind;
    if (!w.fds.empty()) {
      wait["fds"] = Json::array();
      for (size_t i = 0; i < w.fds.size(); i++) {
        wait["fds"].push_back({{"fd", w.fds[i]},
                               {"kind", w.descriptors[i].kind},
                               {"what", w.descriptors[i].what},
                               {"local", w.descriptors[i].local},
                               {"peer", w.descriptors[i].peer}});
      }
    }
    if (w.object != 0) wait["object"] = address(w.object);
    if (!w.object_name.empty()) wait["objectName"] = w.object_name;
    if (w.owner_tid != 0) wait["ownerTid"] = w.owner_tid;
    if (w.owner) wait["owner"] = *w.owner;
    if (w.target) wait["target"] = *w.target;
    if (w.left) wait["left"] = *w.left;
    if (!w.function.empty()) wait["function"] = w.function;
    const Value since = rows.value(index, "since");
    wait["since"] = since.known ? Json(whole(*since.number)) : Json(nullptr);
  }
  Json json;
  json["id"] = c.id;
  json["slot"] = c.slot;
  json["generation"] = c.generation;
  json["state"] = name_of(c.state);
  json["wait"] = wait;
  json["pinned"] = w.pinned.empty() ? Json(nullptr) : Json(w.pinned);
  json["name"] = c.name;
  json["tid"] = c.tid;
  json["carrier"] = c.carrier_tid == 0 ? Json(nullptr) : Json(c.carrier_tid);
  json["worker"] = c.worker_index < 0 ? Json(nullptr) : Json(c.worker_index);
  json["creator"] = c.creator;
  json["age"] = c.born == 0 ? Json(nullptr) : optional_number(whole(*rows.value(index, "age").number));
  json["runTime"] = c.run_time;
  json["longestRun"] = c.longest_run;
  json["switches"] = c.switches();
  const Value used = rows.value(index, "stack");
  json["stackUsed"] = used.known ? Json(whole(*used.number)) : Json(nullptr);
  const Value reached = rows.value(index, "high_water");
  json["stackHighWater"] = reached.known ? Json(whole(*reached.number)) : Json(nullptr);
  json["stackSize"] = c.stack_size;
  json["stackLow"] = address(c.stack_low);
  json["start"] = {{"pc", address(c.start)}, {"function", rows.value(index, "start").text}};
  json["created"] = {{"pc", address(c.creation_pc)}, {"function", rows.value(index, "created").text}};
  if (const Group* group = look.group_of(index)) {
    json["top"] = rows.value(index, "top").text;
    json["stack"] = group->id;
    json["ending"] = name_of(group->trace.ending);
  } else {
    json["top"] = nullptr;
    json["stack"] = nullptr;
    json["ending"] = name_of(copy.ending);
  }
  return json;
}

Json json_of(Look& look, const Group& group, bool all_frames) {
  Json json;
  json["id"] = group.id;
  json["count"] = group.members.size();
  json["ending"] = name_of(group.trace.ending);
  Json ids = Json::array(), threads = Json::array();
  for (uint32_t member : group.members) {
    const StackCopy& copy = look.stacks().copies[member];
    if (copy.coroutine.id != 0) {
      ids.push_back(copy.coroutine.id);
    } else {
      threads.push_back(copy.thread);
    }
  }
  json["coroutines"] = ids;
  if (!threads.empty()) json["threads"] = threads;
  Json frames = Json::array();
  for (const Frame& frame : look.shown(group.trace, all_frames)) {
    const Named& named = look.symbols().at(frame);
    for (const Location& location : named.locations) {
      Json entry;
      entry["pc"] = address(frame.pc);
      entry["module"] = named.module == nullptr ? Json(nullptr) : Json(named.module->path);
      entry["offset"] = address(named.offset);
      entry["function"] = location.function.empty() ? Json(nullptr) : Json(location.function);
      entry["file"] = location.file.empty() ? Json(nullptr) : Json(location.file);
      entry["line"] = location.line == 0 ? Json(nullptr) : Json(location.line);
      entry["inlined"] = location.inlined;
      frames.push_back(entry);
    }
  }
  json["frames"] = frames;
  return json;
}

void print(const Json& json) {
  const std::string text = json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n";
  fwrite(text.data(), 1, text.size(), stdout);
}

std::string summary_line(Look& look) {
  std::string words = fmt::format("{}: {}", look.target().name(), coroutines_text(count_all(look)));
  bool first = true;
  for (State state : kStates) {
    const size_t count = count_in(look, state);
    if (count == 0) continue;
    words += fmt::format("{} {} {}", first ? ":" : ",", with_commas(count), name_of(state));
    first = false;
  }
  words += look.stacks().coherent ? "; one instant" : "; each consistent, not one instant";
  if (look.stacks().stopped != 0) {
    words += fmt::format("; {} kernel thread{} stopped for {:.2f} ms at most", look.stacks().stopped,
                         look.stacks().stopped == 1 ? "" : "s", (double)look.target().stopped_nanoseconds() / 1e6);
  } else if (look.target().kind() == Target::Kind::process && look.target().stopped_nanoseconds() == 0) {
    words += "; nothing was stopped";
  }
  return words;
}

}  // namespace weft::inspect
