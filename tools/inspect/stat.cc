// SPDX-License-Identifier: Apache-2.0
// weft stat: the target's counters, for people, as JSON and as Prometheus' text format.
#include <cstdio>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"

namespace weft::inspect {

namespace {

// Those of the list that are no counts but what there is now are made from the table, and switches from the workers' own words: nobody counts
// them as they go.
void add_current(const Look& look, std::vector<Counter>* counters) {
  uint64_t alive = 0, waiting = 0, switches = 0;
  for (const Worker& worker : look.runtime().workers()) switches += worker.switches;
  for (const StackCopy& copy : look.stacks().copies) {
    alive += copy.coroutine.on_stack();
    waiting += copy.coroutine.state == State::parked;
  }
  for (Counter& counter : *counters) {
    if (counter.name == "coroutines_alive") counter.value = alive;
    if (counter.name == "coroutines_waiting") counter.value = waiting;
    if (counter.name == "coroutine_slots") counter.value = look.runtime().slots();
    if (counter.name == "switches") counter.value = switches;
  }
}

bool is_gauge(const std::string& name) {
  for (const char* each : {"coroutines_alive", "coroutines_waiting", "coroutine_slots", "tls_bytes"}) {
    if (name == each) return true;
  }
  return false;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '\\')
      result += "\\\\";
    else if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result;
}

void print_prometheus(const std::vector<Counter>& counters, const std::vector<Worker>& workers) {
  for (const Counter& counter : counters) {
    const std::string name = "weft_" + counter.name + (is_gauge(counter.name) ? "" : "_total");
    printf("# HELP %s %s\n# TYPE %s %s\n%s %lu\n", name.c_str(), escaped(counter.text).c_str(), name.c_str(),
           is_gauge(counter.name) ? "gauge" : "counter", name.c_str(), counter.value);
  }
  printf("# HELP weft_worker_queue coroutines in a worker's queue\n# TYPE weft_worker_queue gauge\n");
  for (const Worker& worker : workers) printf("weft_worker_queue{worker=\"%u\"} %u\n", worker.index, worker.length);
}

}  // namespace

int stat(int count, char** words) {
  Options options;
  const std::vector<Flag> flags = {
      {"--prom", nullptr, [&](const std::string&) { options.prometheus = true; }},
  };
  if (!parse_options(count, words, kStatHelp, flags, &options)) return kFine;
  if (!options.operands.empty())
    throw Failure(kUsage, "weft stat takes one TARGET; '{}' is too much.", options.operands[0]);

  Look look(open_target(options.target, options.where), options);
  CopyOptions copy = copy_options(options);
  copy.stacks = false;
  copy.stay_stopped = true;
  look.take(copy);
  std::vector<Counter> counters = look.runtime().counters();
  add_current(look, &counters);
  const std::vector<Worker> workers = look.runtime().workers();
  look.target().resume_all();

  if (options.prometheus) {
    print_prometheus(counters, workers);
  } else if (options.json) {
    Json json = begin_json(look, "stat");
    Json& values = json["counters"] = Json::object();
    for (const Counter& counter : counters) values[counter.name] = counter.value;
    Json& list = json["workers"] = Json::array();
    for (const Worker& worker : workers) {
      const Coroutine* running = look.by_address(worker.running);
      list.push_back({{"index", worker.index},
                      {"switches", worker.switches},
                      {"queue", worker.length},
                      {"sleeping", worker.sleeping},
                      {"carrier", worker.carrier_tid},
                      {"running", running == nullptr ? Json(nullptr) : Json(running->id)}});
    }
    print(json);
  } else {
    puts(summary_line(look).c_str());
    for (const Counter& counter : counters) {
      printf("%16s  %-22s %s\n", with_commas(counter.value).c_str(), counter.name.c_str(), counter.text.c_str());
    }
    for (const Worker& worker : workers) {
      printf("worker %u: %s switches, %u queued, %s\n", worker.index, with_commas(worker.switches).c_str(),
             worker.length, worker.sleeping ? "sleeping" : fmt::format("thread {}", worker.carrier_tid).c_str());
    }
  }
  return kFine;
}

}  // namespace weft::inspect
