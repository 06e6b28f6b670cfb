// SPDX-License-Identifier: Apache-2.0
// What can be wrong with coroutines, decided from plain data: no target, no symbols, no output.
//
// Rules never guess: each fires only on what cannot come from a healthy program, and is left out, by name, where the data do not tell.
// Data of a live process are of no one instant. So a rule looks only at members that are `still`: seen twice, some time apart, without
// having run in between. Those were all in their waits at one moment between the looks, and who is in a wait gives nothing back: a circle
// of them, found afterwards, was there at that moment and can never end.
//
//   deadlock          each waits without a deadline for what the next one holds or for the next one's end
//   orphaned-lock     a lock's holder has ended
//   lost-signal       on a condition variable, and nobody is left who could signal it: every thread waits for another one
//   starvation        ready at both looks and never switched to, while others were
//   never-yielded     it ran all the time, and others were ready all the time
//   worker-stalled    work in its queue, and not one switch
//   stack-nearly-full
//   never-joined      many have ended, from one place in the program, and nobody joins any
//   piled-up          many from one place wait for long, none ends, and more are made
//   closed-fd         a descriptor is closed and waited for
//   overloaded-mailbox  full for long: its actor does not keep up with its senders
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sched/descriptor.h"

namespace weft::inspect {

// A coroutine, or a kernel thread of the program's own.
struct LintMember {
  uint32_t id = 0;  // 0: a kernel thread
  int tid = 0;
  State state = State::free;
  bool still = false;    // it has not run between the looks; a core is one instant, so there all are
  bool running = false;  // it was running at both looks, without a switch in between
  WaitKind wait = WaitKind::none;
  uint64_t object = 0;
  bool has_deadline = false;
  uint64_t waited = 0;                    // nanoseconds, 0: not known
  std::optional<uint32_t> holder, joins;  // indices of members
  int orphan_of = 0;                      // tid of a holder that is not there any more, at both looks
  std::vector<int> closed_fds;            // of those that it waits for, at both looks
  bool waits_for_thread =
      false;  // of a kernel thread: in a call that only another thread ends; its `wait` is condition or none
  uint64_t stack_used = 0, stack_reached = 0, stack_size = 0;  // now; ever, 0: not known
  uint64_t site = 0;                                           // where it was made
  uint64_t age = 0;                                            // nanoseconds
  bool detached = false, joining = false;
  int worker = -1;
};

struct LintWorker {
  unsigned index = 0;
  uint64_t switches = 0;  // between the looks
  bool busy = false;      // awake and with work in its queue at both looks
};

// A mailbox of weft/co.h that was full at both looks and in between.
struct LintMailbox {
  std::string name;
  uint64_t address = 0;
  uint64_t messages = 0;  // as many as it may hold
  uint64_t received = 0;
  uint64_t full_for = 0;          // nanoseconds
  std::vector<uint32_t> senders;  // members who wait for room
};

struct LintInput {
  std::vector<LintMember> members;
  std::vector<LintWorker> workers;
  std::vector<LintMailbox> full_mailboxes;
  uint64_t interval = 0;       // nanoseconds between the looks; 0: one look, which was one instant
  bool suspended = false;      // by SIGSTOP or a debugger: nothing runs, and that means nothing
  bool threads_known = false;  // kernel threads are among the members, all of them
  bool fds_known = false;
  std::vector<uint64_t> made_between;   // sites of coroutines made between the looks, one entry each
  std::vector<uint64_t> ended_between;  // sites of those that ended
};

struct LintThresholds {
  uint64_t starvation = 900'000'000;  // nanoseconds
  unsigned stack_percent = 80;
  unsigned unjoined = 100;  // coroutines
  uint64_t unjoined_age = 60'000'000'000;
  unsigned piled_up = 1000;
  uint64_t piled_up_age = 60'000'000'000;
  uint64_t mailbox_full = 10'000'000'000;
};

struct LintFigure {
  enum Unit : uint8_t { count, nanoseconds, bytes, percent, number };
  std::string name;
  double value = 0;
  Unit unit = count;
};

struct LintFinding {
  std::string rule;
  std::string text;               // one line
  std::vector<uint32_t> members;  // of a deadlock: in the order of the circle
  std::vector<LintFigure> figures;
  std::vector<LintFigure> thresholds;  // empty: there is none, once is too much
};

struct LintResult {
  std::vector<LintFinding> findings;
  struct Rule {
    const char* name;
    const char* meaning;
    std::string left_out;  // why, "" it was applied
  };
  std::vector<Rule> rules;
};

// Every coroutine waits for another one: whether anybody is left to go on is for the kernel threads to tell.
bool all_coroutines_wait(const LintInput& input);

LintResult apply_rules(const LintInput& input, const LintThresholds& thresholds);

}  // namespace weft::inspect
