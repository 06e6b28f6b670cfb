// SPDX-License-Identifier: Apache-2.0
// The protocol by which a worker changes hands (sched/worker.h), as a model whose every interleaving is visited.
//
// Three parties: the carrier, which enters and leaves the runtime by plain stores; the monitor, which wants its worker; and
// another carrier, which the worker goes to and which gives it up again. The machine is x86's: a store waits in the carrier's
// buffer, first in first out, and reaches memory at any later moment; a load looks into the buffer first; a locked instruction
// and the monitor's membarrier empty it. The other two write by locked instructions alone.
//
// Never may two parties have the worker. A checker that cannot find a mistake proves nothing: each step of the protocol is
// left out once, and the same search must then find two owners.
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <set>
#include <tuple>

namespace weft {
namespace {

// The protocol as built, and what is left out of it.
struct Protocol {
  bool carrier_fence = false;      // a fence between the store of `inside` and the load of `taken`: without membarrier
  bool monitor_barrier = true;     // membarrier between the store of `taken` and the load of `inside`
  bool looks_at_taken = true;      // the carrier, after the store of `inside`
  bool looks_at_inside = true;     // the monitor, before it takes the worker
  bool waits_for_decision = true;  // a carrier that sees `taken` takes handoff_lock before it looks for its worker
};

enum Variable : uint8_t { kInside, kTaken, kVariables };
enum Holder : uint8_t { kNobody, kCarrier, kMonitor, kOther };

enum class Step : uint8_t {
  outside,       // the coroutine's own code
  stored,        // inside = 1 issued by enter()
  stored_try,    // the same by touchable_worker(), which never waits
  owns,          // inside the runtime with the worker
  slow,          // enter_slow: saw `taken`
  slow_cleared,  // inside = 0 issued
  slow_locked,   // has handoff_lock
  releasing,     // release_worker: has handoff_lock
  released,      // the worker has gone on, inside = 0 not yet issued
};
enum class Decision : uint8_t { idle, locked, announced, fenced, looked_in, looked_out };

struct State {
  Step carrier = Step::outside;
  Decision monitor = Decision::idle;
  uint8_t memory[kVariables] = {0, 0};
  uint8_t lock = kNobody;
  bool carrier_has = true;  // Carrier::worker, written under the lock
  bool other_has = false;
  bool orphan = false;
  uint8_t buffered = 0;
  struct {
    uint8_t variable, value;
  } buffer[4] = {};

  auto key() const {
    uint32_t stores = buffered;
    for (int i = 0; i < 4; i++) stores = stores << 3 | (i < buffered ? buffer[i].variable << 1 | buffer[i].value : 0u);
    return std::tuple(carrier, monitor, memory[0], memory[1], lock, carrier_has, other_has, orphan, stores);
  }
  bool operator<(const State& other) const { return key() < other.key(); }

  uint8_t load(Variable variable) const {
    for (int i = buffered; i-- > 0;)
      if (buffer[i].variable == variable) return buffer[i].value;
    return memory[variable];
  }
  bool store(Variable variable, uint8_t value) {
    if (buffered == 4) return false;  // the CPU waits for room
    buffer[buffered++] = {variable, value};
    return true;
  }
  void drain_one() {
    memory[buffer[0].variable] = buffer[0].value;
    for (int i = 1; i < buffered; i++) buffer[i - 1] = buffer[i];
    buffered--;
  }
  void drain() {
    while (buffered) drain_one();
  }
};

class Search {
 public:
  explicit Search(Protocol protocol) : protocol_(protocol) {
    reach(State());
    while (!todo_.empty() && !two_owners) {
      State state = todo_.front();
      todo_.pop_front();
      if (state.buffered) reach(after(state, [](State& s) { s.drain_one(); }));
      carrier_moves(state);
      monitor_moves(state);
      other_moves(state);
    }
  }

  bool two_owners = false;
  bool worker_was_taken = false;      // by the monitor
  bool monitor_gave_up = false;       // because the carrier was inside
  bool carrier_had_it_again = false;  // after it had lost it
  size_t states() const { return seen_.size(); }

 private:
  template <class Change>
  static State after(State state, Change change) {
    change(state);
    return state;
  }

  void reach(const State& state) {
    bool carrier_uses = state.carrier == Step::owns || state.carrier == Step::releasing;
    if (carrier_uses && (state.other_has || !state.carrier_has)) two_owners = true;
    if (seen_.insert(state).second) todo_.push_back(state);
  }

  // Locked instructions empty the buffer.
  static void take_lock(State& s, Holder holder) {
    if (holder == kCarrier) s.drain();
    s.lock = holder;
  }
  static void give_lock(State& s) {
    if (s.lock == kCarrier) s.drain();
    s.lock = kNobody;
  }

  void carrier_moves(const State& state) {
    State next = state;
    switch (state.carrier) {
      case Step::outside:
        for (Step entry : {Step::stored, Step::stored_try}) {
          next = state;
          if (!next.store(kInside, 1)) continue;
          if (protocol_.carrier_fence) next.drain();
          next.carrier = entry;
          reach(next);
        }
        break;
      case Step::stored:
      case Step::stored_try:
        if (!protocol_.looks_at_taken || !next.load(kTaken)) {
          next.carrier = Step::owns;
        } else if (state.carrier == Step::stored) {
          next.carrier = Step::slow;
        } else {
          if (!next.store(kInside, 0)) break;
          next.carrier = Step::outside;
        }
        reach(next);
        break;
      case Step::owns:
        if (next.store(kInside, 0)) {
          next.carrier = Step::outside;
          reach(next);
        }
        if (!state.lock) {
          next = state;
          take_lock(next, kCarrier);
          next.carrier = Step::releasing;
          reach(next);
        }
        break;
      case Step::slow:
        if (!next.store(kInside, 0)) break;
        next.carrier = Step::slow_cleared;
        reach(next);
        break;
      case Step::slow_cleared:
        if (!protocol_.waits_for_decision) {
          if (!state.carrier_has || !next.store(kInside, 1)) break;
          next.carrier = Step::owns;
          reach(next);
        } else if (!state.lock) {
          take_lock(next, kCarrier);
          next.carrier = Step::slow_locked;
          reach(next);
        }
        break;
      case Step::slow_locked:
        if (!state.carrier_has && state.orphan) {
          next.orphan = false;
          next.carrier_has = true;
          next.store(kInside, 1);
          next.store(kTaken, 0);
          carrier_had_it_again = true;
        } else if (state.carrier_has) {
          next.store(kInside, 1);
        }
        next.carrier = next.carrier_has ? Step::owns : Step::slow_cleared;  // else it waits until there is one
        give_lock(next);
        reach(next);
        break;
      case Step::releasing:
        next.carrier_has = false;
        next.store(kTaken, 1);
        next.drain();
        next.other_has = true;
        next.carrier = Step::released;
        give_lock(next);
        reach(next);
        break;
      case Step::released:
        if (!next.store(kInside, 0)) break;
        next.carrier = Step::outside;
        reach(next);
        break;
    }
  }

  void monitor_moves(const State& state) {
    State next = state;
    switch (state.monitor) {
      case Decision::idle:
        if (state.lock) break;
        take_lock(next, kMonitor);
        next.monitor = Decision::locked;
        reach(next);
        break;
      case Decision::locked:
        if (!state.carrier_has) {  // worker->carrier is null: nothing to take
          give_lock(next);
          next.monitor = Decision::idle;
        } else {
          next.memory[kTaken] = 1;
          next.monitor = Decision::announced;
        }
        reach(next);
        break;
      case Decision::announced:
        if (protocol_.monitor_barrier) next.drain();
        next.monitor = Decision::fenced;
        reach(next);
        break;
      case Decision::fenced:
        next.monitor = protocol_.looks_at_inside && state.memory[kInside] ? Decision::looked_in : Decision::looked_out;
        reach(next);
        break;
      case Decision::looked_in:
        next.memory[kTaken] = 0;
        next.monitor = Decision::idle;
        give_lock(next);
        monitor_gave_up = true;
        reach(next);
        break;
      case Decision::looked_out:
        next.carrier_has = false;
        next.other_has = true;
        next.monitor = Decision::idle;
        give_lock(next);
        worker_was_taken = true;
        reach(next);
        break;
    }
  }

  void other_moves(const State& state) {
    if (!state.other_has || state.lock) return;
    reach(after(state, [](State& s) {
      s.other_has = false;
      s.orphan = true;
    }));
  }

  Protocol protocol_;
  std::set<State> seen_;
  std::deque<State> todo_;
};

TEST(OwnershipModelTest, NeverHasTwoOwners) {
  Search search({});
  EXPECT_FALSE(search.two_owners);
  EXPECT_TRUE(search.worker_was_taken);
  EXPECT_TRUE(search.monitor_gave_up);
  EXPECT_TRUE(search.carrier_had_it_again);
  EXPECT_GT(search.states(), 100u);
}

TEST(OwnershipModelTest, NeverHasTwoOwnersWithoutMembarrier) {
  Search search({.carrier_fence = true, .monitor_barrier = false});
  EXPECT_FALSE(search.two_owners);
  EXPECT_TRUE(search.worker_was_taken);
  EXPECT_TRUE(search.monitor_gave_up);
}

TEST(OwnershipModelTest, FindsThatTheBarrierIsMissing) { EXPECT_TRUE(Search({.monitor_barrier = false}).two_owners); }

TEST(OwnershipModelTest, FindsThatTheCarrierDoesNotLook) { EXPECT_TRUE(Search({.looks_at_taken = false}).two_owners); }

TEST(OwnershipModelTest, FindsThatTheMonitorDoesNotLook) { EXPECT_TRUE(Search({.looks_at_inside = false}).two_owners); }

TEST(OwnershipModelTest, FindsThatTheCarrierDoesNotWaitForTheDecision) {
  EXPECT_TRUE(Search({.waits_for_decision = false}).two_owners);
}

}  // namespace
}  // namespace weft
