// SPDX-License-Identifier: Apache-2.0
// A timeline in the trace format of Chrome, which Perfetto and browsers open: a row for each worker with who ran there, and a row for each
// wait of a coroutine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "timeline.h"

namespace weft::inspect {

struct TraceNames {
  std::function<std::string(uint32_t id)> coroutine;     // what is shown on its slices
  std::function<std::string(uint64_t address)> routine;  // a start routine by its address
  std::string process;
  int pid = 0;
};

// JSON, a line an event. `write` gets pieces of it in their order.
void write_chrome_trace(const Timeline& timeline, const TraceNames& names,
                        const std::function<void(const std::string&)>& write);

}  // namespace weft::inspect
