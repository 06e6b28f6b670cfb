// SPDX-License-Identifier: Apache-2.0
// Opens every connection, waits at the gate if asked, then makes exchanges, at most one at once on each connection.
//
// The closed loop begins one as soon as the last is answered. The open loop has a schedule that knows nothing of
// answers, and a latency is counted from the time at which the request was due: what a slow answer keeps waiting on its
// connection, or the generator itself begins late, is in the figures (as wrk2 has it; a closed loop omits it). Requests
// that were due in the measured part are counted to the last one, however long after it they are answered.
//
// One thread, one epoll instance. An exchange that fails is counted by its cause and its connection is not replaced, so
// a broken server ends the run early instead of being hammered. Every wait has a bound.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "exchange.h"
#include "histogram.h"
#include "options.h"
#include "schedule.h"
#include "transport.h"

namespace weft::load {

// What a run has to report; printed by print().
struct Report {
  uint64_t exchanged = 0;   // right answers, opening included
  uint64_t measured = 0;    // right answers of the measured part
  double requested = 0;     // open loop: requests a second that were due
  uint64_t reached = 0;     // open loop: right answers that came while the measured part lasted
  uint64_t unanswered = 0;  // open loop: due in the measured part and given up; their latency is their age then
  uint64_t refused = 0, closed = 0, wrong = 0, status = 0, late = 0;  // failed exchanges by cause
  uint64_t lost = 0;                                                  // closed by the server while waiting at the gate
  uint64_t reopened = 0;  // connections that the server ended in good order after an answer
  uint64_t least = 0;     // the least right answers of one connection, opening left out
  int open = 0;           // connections open at once when the measured part began
  double opening_seconds = 0, seconds = 0, server_cpu_seconds = 0;
  Histogram latency;  // nanoseconds
  Histogram lag;      // open loop: from due to begun, of requests whose connection was free; the generator's own fault

  uint64_t errors() const { return refused + closed + wrong + status + late; }
  void print() const;
};

class Driver {
 public:
  explicit Driver(const Options& options);
  ~Driver();
  // Runs to the end. False when something of the generator's own failed (said on descriptor 2).
  bool run();
  const Report& report() const { return report_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { absent, connecting, tunnelling, handshaking, exchanging, waiting };
  enum class Stage { opening, gate, warming, measuring, ending };

  struct Slot {
    Slot(const Options& options, uint32_t i) : index(i), exchange(options, i + 1) {}
    const uint32_t index;  // its place in slots_, and its tag in the epoll instance
    Transport transport;
    Exchange exchange;
    Phase phase = Phase::absent;
    uint32_t interest = 0;    // what epoll watches now
    size_t sent = 0;          // of the request
    uint64_t begun = 0;       // of its schedule
    uint64_t answered = 0;    // right answers after the opening
    bool counted = false;     // this exchange is of the measured part
    Clock::time_point since;  // of the exchange, or of the opening
    Clock::time_point due;    // what the latency counts from: as `since`, but in the open loop
    std::string reply;        // what a tunnel answered so far
  };

  bool open_all();
  bool wait_at_gate();
  bool gate_says(const char* word);  // the line that is there
  void exchange_closed();
  void exchange_open();
  void start_clock(Clock::time_point now);
  void stop_clock(Clock::time_point now);
  void turn(int timeout_ms);  // one epoll_wait and what it brought
  void expire(Clock::time_point now);
  void open(Slot& slot);
  void advance(Slot& slot, uint32_t events);
  void begin(Slot& slot);
  bool may_begin() const;
  Clock::time_point due(const Slot& slot) const;  // when its next request is
  int sleep_ms() const;                           // how long the open loop may wait for events
  void pace();                                    // begins what has fallen due
  void await_due(Slot& slot);
  void give_up(Slot& slot, Clock::time_point now);
  void tunnel(Slot& slot);
  void handshake(Slot& slot);
  void transfer(Slot& slot);
  bool send_rest(Slot& slot);
  void receive(Slot& slot);
  void judged(Slot& slot, Exchange::Verdict verdict);
  void fail(Slot& slot, uint64_t Report::*cause, const char* what);
  void drop(Slot& slot);
  void watch(Slot& slot, uint32_t events);
  double server_cpu() const;

  const Options& options_;
  Report report_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  ssl_ctx_st* tls_ = nullptr;
  Stage stage_ = Stage::opening;
  std::optional<Schedule> schedule_;                   // only in the open loop
  Clock::time_point scheduled_from_, measured_until_;  // only in the open loop
  Clock::time_point measured_from_;
  double cpu_before_ = 0;    // the server's, when the measured part began
  size_t open_ = 0;          // connections that are not absent
  int making_ = 0;           // while opening: connections whose first exchange is not complete
  uint64_t begun_ = 0;       // exchanges begun in the measured part
  bool gate_spoke_ = false;  // descriptor 0 has something to read
};

}  // namespace weft::load
