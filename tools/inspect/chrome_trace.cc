// SPDX-License-Identifier: Apache-2.0
// From events to slices. Times are microseconds since the recording began.
#include "chrome_trace.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weft::inspect {

namespace {

constexpr int kOutside = 0;  // the row of those who are no worker; worker n has n + 1

constexpr std::pair<TraceEvent, const char*> kNames[] = {
    {TraceEvent::run, "run"},
    {TraceEvent::park, "park"},
    {TraceEvent::ready, "ready"},
    {TraceEvent::region_enter, "region_enter"},
    {TraceEvent::region_leave, "region_leave"},
    {TraceEvent::pin, "pin"},
    {TraceEvent::begin, "begin"},
    {TraceEvent::finish, "finish"},
    {TraceEvent::hand_off, "hand_off"},
    {TraceEvent::sleep, "sleep"},
    {TraceEvent::wake, "wake"},
};

std::string row_name(size_t row) { return row == kOutside ? "no worker" : fmt::format("worker {}", row - 1); }

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

class Writer {
 public:
  Writer(const Timeline& timeline, const TraceNames& names, const std::function<void(const std::string&)>& write)
      : timeline_(timeline), names_(names), write_(write) {}

  void all() {
    write_("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    event(fmt::format(R"("ph":"M","name":"process_name","args":{{"name":{}}})", json_text(names_.process)));
    for (size_t i = 0; i < timeline_.ring.size(); i++) {
      event(fmt::format(R"("ph":"M","name":"thread_name","tid":{},"args":{{"name":{}}})", i, json_text(row_name(i))));
    }
    rows_.resize(timeline_.ring.size());
    for (const Placed& placed : in_order()) handle(placed.row, *placed.entry);
    for (size_t i = 0; i < rows_.size(); i++) {
      end_run(i, timeline_.end);
      end_sleep(i, timeline_.end);
    }
    close_waits();
    nlohmann::json other = {{"tool", "weft trace"}, {"formatVersion", 1}, {"lost", timeline_.lost}};
    other["seconds"] = (double)(timeline_.end - timeline_.begin) / 1e9;
    for (const auto& [event, name] : kNames) other["events"][name] = count_of(event);
    write_("\n],\"otherData\":" + other.dump() + "}\n");
  }

 private:
  double microseconds(uint64_t time) const { return ((double)time - (double)timeline_.begin) / 1000; }

  void event(const std::string& members) {
    write_(fmt::format("{}{{\"pid\":{},{}}}", first_ ? "" : ",\n", names_.pid, members));
    first_ = false;
  }

  struct Placed {
    size_t row;
    const TraceEntry* entry;
  };
  uint64_t count_of(TraceEvent event) const {
    uint64_t count = 0;
    for (const std::vector<TraceEntry>& ring : timeline_.ring)
      for (const TraceEntry& entry : ring) count += entry.event == (uint16_t)event;
    return count;
  }

  // One's wait begins on one row and may end on another's.
  std::vector<Placed> in_order() const {
    std::vector<Placed> all;
    for (size_t i = 0; i < timeline_.ring.size(); i++) {
      for (const TraceEntry& entry : timeline_.ring[i]) all.push_back({i, &entry});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Placed& a, const Placed& b) { return a.entry->time < b.entry->time; });
    return all;
  }

  struct Running {
    uint32_t id;
    uint64_t since;
  };
  struct Row {
    std::optional<Running> running;
    std::optional<uint64_t> asleep;
  };

  void slice(size_t row, const std::string& name, uint64_t from, uint64_t to, const std::string& arguments = "") {
    event(fmt::format(R"("ph":"X","name":{},"tid":{},"ts":{:.3f},"dur":{:.3f}{})", json_text(name), row,
                      microseconds(from), (double)(to - from) / 1000, arguments));
  }
  void instant(size_t row, const std::string& name, uint64_t at, const std::string& arguments = "") {
    event(fmt::format(R"("ph":"i","s":"t","name":{},"tid":{},"ts":{:.3f}{})", json_text(name), row, microseconds(at),
                      arguments));
  }

  void end_run(size_t row, uint64_t at) {
    std::optional<Running>& running = rows_[row].running;
    if (!running) return;
    slice(row, names_.coroutine(running->id), running->since, at, fmt::format(R"(,"args":{{"id":{}}})", running->id));
    running.reset();
  }
  void end_sleep(size_t row, uint64_t at) {
    std::optional<uint64_t>& asleep = rows_[row].asleep;
    if (asleep) slice(row, "asleep", *asleep, at, R"(,"cname":"grey")");
    asleep.reset();
  }

  // Waits of coroutines overlap, so they are asynchronous events, a row for each coroutine.
  void begin_wait(uint32_t id, uint64_t at, WaitKind kind, uint64_t object) {
    const std::string what = waits_on_descriptor(kind) ? fmt::format("{} fd {}", inspect::name_of(kind), (int)object)
                             : object != 0             ? fmt::format("{} 0x{:x}", inspect::name_of(kind), object)
                                                       : std::string(inspect::name_of(kind));
    waits_[id] = what;
    event(fmt::format(R"("ph":"b","cat":"wait","id":{},"name":{},"tid":0,"ts":{:.3f},"args":{{"coroutine":{}}})", id,
                      json_text(what), microseconds(at), json_text(names_.coroutine(id))));
  }
  // `woken`: what is said of who has ended it.
  void end_wait(uint32_t id, uint64_t at, const std::string& woken = "") {
    const auto found = waits_.find(id);
    if (found == waits_.end()) return;
    event(fmt::format(R"("ph":"e","cat":"wait","id":{},"name":{},"tid":0,"ts":{:.3f}{})", id, json_text(found->second),
                      microseconds(at), woken));
    waits_.erase(found);
  }
  // By the coroutine that runs on that row, or what else there is.
  std::string woken_by(size_t row) const {
    const std::optional<Running>& running = rows_[row].running;
    return fmt::format(R"(,"args":{{"woken by":{}}})",
                       json_text(running ? names_.coroutine(running->id) : row_name(row)));
  }
  void close_waits() {
    while (!waits_.empty()) end_wait(waits_.begin()->first, timeline_.end);
    for (uint32_t id : regions_) end_region(id, timeline_.end);
  }
  void end_region(uint32_t id, uint64_t at) {
    event(fmt::format(R"("ph":"e","cat":"region","id":{},"name":"blocking region","tid":0,"ts":{:.3f})", id,
                      microseconds(at)));
  }

  void handle(size_t row, const TraceEntry& entry) {
    switch ((TraceEvent)entry.event) {
      case TraceEvent::run:
        end_run(row, entry.time);
        rows_[row].running = Running{entry.coroutine, entry.time};
        break;
      case TraceEvent::park:
        end_run(row, entry.time);
        begin_wait(entry.coroutine, entry.time, (WaitKind)entry.detail, entry.object);
        break;
      case TraceEvent::ready:
        end_wait(entry.coroutine, entry.time, woken_by(row));
        break;
      case TraceEvent::sleep:
        end_run(row, entry.time);
        rows_[row].asleep = entry.time;
        break;
      case TraceEvent::wake:
        end_sleep(row, entry.time);
        break;
      case TraceEvent::region_enter:
        if (!regions_.insert(entry.coroutine).second) break;
        event(fmt::format(
            R"("ph":"b","cat":"region","id":{},"name":"blocking region","tid":0,"ts":{:.3f},"args":{{"coroutine":{}}})",
            entry.coroutine, microseconds(entry.time), json_text(names_.coroutine(entry.coroutine))));
        break;
      case TraceEvent::region_leave:
        if (regions_.erase(entry.coroutine) != 0) end_region(entry.coroutine, entry.time);
        break;
      case TraceEvent::pin:
        instant(row, fmt::format("pinned: {}", inspect::name_of((PinReason)entry.detail)), entry.time);
        break;
      case TraceEvent::begin:
        instant(row, fmt::format("begins: {}", names_.routine(entry.object)), entry.time,
                fmt::format(R"(,"args":{{"id":{}}})", entry.coroutine));
        break;
      case TraceEvent::finish:
        instant(row, fmt::format("ends: {}", names_.coroutine(entry.coroutine)), entry.time);
        break;
      case TraceEvent::hand_off:
        end_run(row, entry.time);
        instant(row, "handed off: its kernel thread was stuck", entry.time);
        break;
      case TraceEvent::none:
        break;
    }
  }

  const Timeline& timeline_;
  const TraceNames& names_;
  const std::function<void(const std::string&)>& write_;
  std::unordered_map<uint32_t, std::string> waits_;
  std::unordered_set<uint32_t> regions_;
  std::vector<Row> rows_;
  bool first_ = true;
};

}  // namespace

void write_chrome_trace(const Timeline& timeline, const TraceNames& names,
                        const std::function<void(const std::string&)>& write) {
  Writer(timeline, names, write).all();
}

}  // namespace weft::inspect
