// SPDX-License-Identifier: Apache-2.0
// What weft top shows above its table: rates and shares between one look at a process and the next.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json_output.h"
#include "lint_look.h"

namespace weft::inspect {

struct TopWorker {
  unsigned index = 0;
  int tid = 0;  // of its carrier, 0: none
  uint64_t total_switches = 0;
  uint32_t running = 0;  // id, 0: nobody
  uint32_t length = 0;   // of its queue
  bool sleeping = false;
  std::optional<double> switches;  // a second
  std::optional<double>
      busy;  // part of the time that its carrier was on a CPU; unknown where it has got another carrier
  std::optional<int64_t> delay;  // nanoseconds that one who joins the queue waits, if it goes on like this
};

struct TopFigures {
  std::optional<uint64_t> interval;  // nanoseconds; none: the first look
  size_t coroutines = 0;
  std::vector<std::pair<std::string, size_t>> states, waits;  // how many in each, the most frequent first
  std::vector<TopWorker> workers;
  std::optional<double> switches;  // a second, all workers
  uint64_t longest_run = 0;        // nanoseconds, of a coroutine that there is
  uint32_t longest_id = 0;
  std::vector<LintFinding> warnings;
};

class TopWatch {
 public:
  explicit TopWatch(Look& look);
  // Takes a look and compares it with the one before.
  TopFigures next(Stop stop);

 private:
  struct Earlier {
    uint64_t switches, on_cpu;
    int tid;
  };
  std::optional<uint64_t> on_cpu(int tid) const;

  Look& look_;
  LintWatch watch_;
  std::map<unsigned, Earlier> earlier_;
  uint64_t clock_ = 0;
  bool same_namespace_;
};

std::vector<std::string> lines_of(const TopFigures& figures, Look& look);
void add_to(Json* json, const TopFigures& figures);

}  // namespace weft::inspect
