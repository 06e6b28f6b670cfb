// SPDX-License-Identifier: Apache-2.0
// The closed loop: opens every connection, waits at the gate if asked, then keeps one exchange in flight on each.
//
// One thread, one epoll instance. An exchange that fails is counted by its cause and its connection is not replaced, so
// a broken server ends the run early instead of being hammered. Every wait has a bound.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "exchange.h"
#include "histogram.h"
#include "options.h"
#include "transport.h"

namespace weft::load {

// What a run has to report; printed by print().
struct Report {
  uint64_t exchanged = 0;                                             // right answers, opening included
  uint64_t measured = 0;                                              // right answers of the measured part
  uint64_t refused = 0, closed = 0, wrong = 0, status = 0, late = 0;  // failed exchanges by cause
  uint64_t lost = 0;                                                  // closed by the server while waiting at the gate
  uint64_t reopened = 0;  // connections that the server ended in good order after an answer
  uint64_t least = 0;     // the least right answers of one connection, opening left out
  int open = 0;           // connections open at once when the measured part began
  double opening_seconds = 0, seconds = 0, server_cpu_seconds = 0;
  Histogram latency;  // nanoseconds

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
    uint64_t answered = 0;    // right answers after the opening
    bool counted = false;     // this exchange began in the measured part
    Clock::time_point since;  // of the exchange, or of the opening
    std::string reply;        // what a tunnel answered so far
  };

  bool open_all();
  bool wait_at_gate();
  void exchange_until_done();
  void turn(int timeout_ms);  // one epoll_wait and what it brought
  void expire();
  void open(Slot& slot);
  void advance(Slot& slot, uint32_t events);
  void begin(Slot& slot);
  bool may_begin() const;
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
  size_t open_slots() const;

  const Options& options_;
  Report report_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  ssl_ctx_st* tls_ = nullptr;
  Stage stage_ = Stage::opening;
  int making_ = 0;           // while opening: connections whose first exchange is not complete
  uint64_t begun_ = 0;       // exchanges begun in the measured part
  bool gate_spoke_ = false;  // descriptor 0 has something to read
};

}  // namespace weft::load
