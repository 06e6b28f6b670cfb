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

// In quotes.
std::string label(const std::string& text) {
  std::string result = escaped(text);
  for (size_t at = 0; (at = result.find('"', at)) != std::string::npos; at += 2) result.insert(at, 1, '\\');
  return result;
}

void print_prometheus(const std::vector<Counter>& counters, const std::vector<Worker>& workers,
                      const std::vector<Mailbox>& mailboxes) {
  for (const Counter& counter : counters) {
    const std::string name = "weft_" + counter.name + (is_gauge(counter.name) ? "" : "_total");
    printf("# HELP %s %s\n# TYPE %s %s\n%s %lu\n", name.c_str(), escaped(counter.text).c_str(), name.c_str(),
           is_gauge(counter.name) ? "gauge" : "counter", name.c_str(), counter.value);
  }
  printf("# HELP weft_worker_queue coroutines in a worker's queue\n# TYPE weft_worker_queue gauge\n");
  for (const Worker& worker : workers) printf("weft_worker_queue{worker=\"%u\"} %u\n", worker.index, worker.length);
  if (mailboxes.empty()) return;
  const struct {
    const char *name, *kind, *text;
    uint64_t Mailbox::*value;
  } figures[] = {
      {"weft_mailbox_messages", "gauge", "messages in a mailbox", &Mailbox::length},
      {"weft_mailbox_capacity", "gauge", "messages that it may hold", &Mailbox::capacity},
      {"weft_mailbox_received_total", "counter", "messages received from it", &Mailbox::received},
      {"weft_mailbox_refused_total", "counter", "sends that found it full and did not wait", &Mailbox::refused},
      {"weft_mailbox_waits_total", "counter", "sends that had to wait for room", &Mailbox::waits}};
  for (const auto& figure : figures) {
    printf("# HELP %s %s\n# TYPE %s %s\n", figure.name, figure.text, figure.name, figure.kind);
    for (const Mailbox& mailbox : mailboxes)
      printf("%s{mailbox=\"%s\",address=\"%#lx\"} %lu\n", figure.name, label(mailbox.name).c_str(), mailbox.address,
             mailbox.*figure.value);
  }
}

std::string mailbox_text(const Mailbox& mailbox, uint64_t clock) {
  std::string words = fmt::format("mailbox {:#x}", mailbox.address);
  if (!mailbox.name.empty()) words += " " + mailbox.name;
  words += fmt::format(": {} of {} messages, {} received, {} sends waited", with_commas(mailbox.length),
                       with_commas(mailbox.capacity), with_commas(mailbox.received), with_commas(mailbox.waits));
  if (mailbox.refused != 0) words += fmt::format(", {} refused", with_commas(mailbox.refused));
  if (mailbox.full_since && clock > *mailbox.full_since)
    words += ", full for " + duration_text((int64_t)(clock - *mailbox.full_since));
  if (mailbox.closed) words += ", closed";
  return words;
}

Json json_of(const Mailbox& mailbox) {
  return {{"address", fmt::format("{:#x}", mailbox.address)},
          {"name", mailbox.name},
          {"messages", mailbox.length},
          {"capacity", mailbox.capacity},
          {"highest", mailbox.highest},
          {"received", mailbox.received},
          {"refused", mailbox.refused},
          {"waits", mailbox.waits},
          {"fullSince", mailbox.full_since ? Json(*mailbox.full_since) : Json(nullptr)},
          {"closed", mailbox.closed}};
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
  const std::vector<Mailbox> mailboxes = look.runtime().mailboxes();
  look.target().resume_all();

  if (options.prometheus) {
    print_prometheus(counters, workers, mailboxes);
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
    Json& boxes = json["mailboxes"] = Json::array();
    for (const Mailbox& mailbox : mailboxes) boxes.push_back(json_of(mailbox));
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
    for (const Mailbox& mailbox : mailboxes) puts(mailbox_text(mailbox, look.clock()).c_str());
  }
  return kFine;
}

}  // namespace weft::inspect
