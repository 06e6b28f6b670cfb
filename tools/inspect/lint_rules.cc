// SPDX-License-Identifier: Apache-2.0
// The rules of `weft lint`.
#include "lint_rules.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace weft::inspect {
namespace {

using Unit = LintFigure::Unit;

// Parked until another thread of this process does something. A semaphore or a futex may be posted by a signal handler or through
// shared memory, everything else that is not here by the kernel.
bool waits_for_others(const LintMember& member) {
  if (member.id == 0) return member.waits_for_thread;
  if (member.state == State::finished) return true;
  if (member.state != State::parked || member.has_deadline) return false;
  switch (member.wait) {
    case WaitKind::lock:
    case WaitKind::condition:
    case WaitKind::join:
    case WaitKind::barrier:
    case WaitKind::once:
    case WaitKind::rwlock_read:
    case WaitKind::rwlock_write:
    case WaitKind::suspend:
    case WaitKind::co_lock:
    case WaitKind::co_rwlock_read:
    case WaitKind::co_rwlock_write:
    case WaitKind::group:
    case WaitKind::scope:
    case WaitKind::channel_send:
    case WaitKind::channel_receive:
    case WaitKind::mailbox_send:
    case WaitKind::mailbox_receive:
      return true;
    default:
      return false;
  }
}

std::string name(const LintMember& member) {
  return member.id != 0 ? fmt::format("coroutine {}", member.id) : fmt::format("kernel thread {}", member.tid);
}

bool is_endless_wait(const LintMember& member) {
  return member.still && member.state == State::parked && !member.has_deadline;
}

class Rules {
 public:
  Rules(const LintInput& input, const LintThresholds& thresholds) : input_(input), thresholds_(thresholds) {}

  LintResult run() {
    const std::string one_look = input_.interval != 0 ? "" : "one look does not show it";
    const std::string stands = input_.suspended ? "the process is stopped" : one_look;

    rule("deadlock", "each waits without a deadline for what the next one holds or for its end", "");
    deadlocks();
    rule("orphaned-lock", "a lock is waited for whose holder has ended",
         input_.threads_known ? "" : "threads are not known");
    if (applied()) orphaned_locks();
    rule("lost-signal", "a condition variable is waited for without a deadline, and every thread waits for another one",
         input_.threads_known ? "" : "threads are not known");
    if (applied()) lost_signals();
    rule("starvation", "ready all the time while others were switched to", stands);
    if (applied()) starvation();
    rule("never-yielded", "it ran all the time while others were ready all the time", stands);
    if (applied()) never_yielded();
    rule("worker-stalled", "work in its queue all the time, and no switch", stands);
    if (applied()) stalled_workers();
    rule("stack-nearly-full", "more of its stack than the threshold is or was in use", "");
    full_stacks();
    rule("never-joined", "coroutines of one place in the program have ended, and nobody joins any", "");
    never_joined();
    rule("piled-up", "coroutines of one place wait for long, none ends, and more are made", one_look);
    if (applied()) piled_up();
    rule("closed-fd", "a descriptor is waited for that is closed", input_.fds_known ? "" : "descriptors are not known");
    if (applied()) closed_descriptors();
    rule("overloaded-mailbox", "a mailbox has been full for longer than the threshold", "");
    overloaded_mailboxes();
    return std::move(result_);
  }

 private:
  void rule(const char* name, const char* meaning, const std::string& left_out) {
    result_.rules.push_back({name, meaning, left_out});
  }
  bool applied() const { return result_.rules.back().left_out.empty(); }
  const std::vector<LintMember>& members() const { return input_.members; }

  LintFinding& found(std::string text, std::vector<uint32_t> who) {
    return result_.findings.emplace_back(
        LintFinding{result_.rules.back().name, std::move(text), std::move(who), {}, {}});
  }
  void add_interval(LintFinding& finding) const {
    if (input_.interval != 0) finding.figures.push_back({"unchanged-for", (double)input_.interval, Unit::nanoseconds});
  }

  static constexpr uint32_t kNobody = ~0u;
  uint32_t awaited(uint32_t at) const {
    const LintMember& member = members()[at];
    if (!is_endless_wait(member)) return kNobody;
    const uint32_t next = member.holder ? *member.holder : member.joins ? *member.joins : kNobody;
    return next < members().size() ? next : kNobody;
  }

  // At most one edge leaves each, so from any member there is one way, which either ends or runs into a circle.
  void deadlocks() {
    std::vector<uint32_t> walk(members().size(), 0);
    for (uint32_t first = 0; first < members().size(); first++) {
      if (walk[first] != 0) continue;
      uint32_t at = first;
      while (at != kNobody && walk[at] == 0) {
        walk[at] = first + 1;
        at = awaited(at);
      }
      if (at == kNobody || walk[at] != first + 1) continue;
      std::vector<uint32_t> circle;
      uint32_t one = at;
      do {
        circle.push_back(one);
        one = awaited(one);
      } while (one != at);
      deadlock(std::move(circle));
    }
  }

  void deadlock(std::vector<uint32_t> circle) {
    std::rotate(circle.begin(), std::min_element(circle.begin(), circle.end()), circle.end());
    std::string way;
    for (uint32_t one : circle) way += fmt::format("{} -> ", members()[one].id);
    way += std::to_string(members()[circle.front()].id);
    const size_t length = circle.size();
    uint64_t waited = UINT64_MAX;
    for (uint32_t one : circle) waited = std::min(waited, members()[one].waited);
    std::string text = length == 1 ? fmt::format("coroutine {} waits for itself", members()[circle.front()].id)
                                   : fmt::format("{} coroutines wait for each other: {}", length, way);
    LintFinding& finding = found(std::move(text), std::move(circle));
    finding.figures.push_back({"members", (double)length, Unit::count});
    if (waited != 0) finding.figures.push_back({"for-at-least", (double)waited, Unit::nanoseconds});
    add_interval(finding);
    in_circles_ = true;
  }

  void orphaned_locks() {
    std::map<uint64_t, std::vector<uint32_t>> waiters;
    for (uint32_t i = 0; i < members().size(); i++)
      if (is_endless_wait(members()[i]) && members()[i].orphan_of != 0) waiters[members()[i].object].push_back(i);
    for (auto& [lock, who] : waiters) {
      const size_t count = who.size();
      const int tid = members()[who.front()].orphan_of;
      LintFinding& finding =
          found(fmt::format("the lock {:#x} was taken by thread {}, which has ended", lock, tid), std::move(who));
      finding.figures.push_back({"waiters", (double)count, Unit::count});
      add_interval(finding);
    }
  }

  // Who could signal is not written anywhere. But where everybody waits for somebody, nobody can; a circle or a lost lock would be the cause
  // then, and has been named.
  void lost_signals() {
    if (in_circles_ || !std::all_of(members().begin(), members().end(),
                                    [](const LintMember& m) { return m.still && waits_for_others(m); }))
      return;
    if (std::any_of(members().begin(), members().end(), [](const LintMember& m) { return m.orphan_of != 0; })) return;
    std::map<uint64_t, std::vector<uint32_t>> waiters;
    for (uint32_t i = 0; i < members().size(); i++)
      if (members()[i].state != State::finished && members()[i].wait == WaitKind::condition)
        waiters[members()[i].object].push_back(i);
    for (auto& [condition, who] : waiters) {
      const size_t count = who.size();
      const std::string waiters_text =
          count == 1 ? name(members()[who.front()]) + " waits" : fmt::format("{} threads wait", count);
      const std::string what =
          condition == 0 ? "a condition variable" : fmt::format("the condition variable {:#x}", condition);
      LintFinding& finding =
          found(fmt::format("{} for {}, and nobody is left to signal it", waiters_text, what), std::move(who));
      finding.figures.push_back({"waiters", (double)count, Unit::count});
      finding.figures.push_back({"threads-that-could-run", 0, Unit::count});
      add_interval(finding);
    }
  }

  uint64_t switches() const {
    uint64_t sum = 0;
    for (const LintWorker& worker : input_.workers) sum += worker.switches;
    return sum;
  }
  bool long_enough() const { return input_.interval >= thresholds_.starvation; }
  std::vector<uint32_t> always_ready() const {
    std::vector<uint32_t> found;
    for (uint32_t i = 0; i < members().size(); i++)
      if (members()[i].id != 0 && members()[i].state == State::ready && members()[i].still) found.push_back(i);
    return found;
  }

  void starvation() {
    std::vector<uint32_t> who = always_ready();
    if (who.empty() || !long_enough() || switches() == 0) return;
    const size_t count = who.size();
    LintFinding& finding =
        found(fmt::format("{} ready coroutine{} got no turn", count, count == 1 ? "" : "s"), std::move(who));
    finding.figures.push_back({"ready-for-at-least", (double)input_.interval, Unit::nanoseconds});
    finding.figures.push_back({"switches-meanwhile", (double)switches(), Unit::count});
    finding.thresholds.push_back({"ready-for", (double)thresholds_.starvation, Unit::nanoseconds});
  }

  void never_yielded() {
    const size_t kept_waiting = always_ready().size();
    if (kept_waiting == 0 || !long_enough()) return;
    for (uint32_t i = 0; i < members().size(); i++) {
      if (members()[i].id == 0 || !members()[i].running) continue;
      LintFinding& finding = found(fmt::format("coroutine {} ran without a switch", members()[i].id), {i});
      finding.figures.push_back({"ran-for-at-least", (double)input_.interval, Unit::nanoseconds});
      finding.figures.push_back({"ready-meanwhile", (double)kept_waiting, Unit::count});
      finding.thresholds.push_back({"ran-for", (double)thresholds_.starvation, Unit::nanoseconds});
    }
  }

  void stalled_workers() {
    if (!long_enough()) return;
    for (const LintWorker& worker : input_.workers) {
      if (!worker.busy || worker.switches != 0) continue;
      std::vector<uint32_t> who;
      for (uint32_t i = 0; i < members().size(); i++)
        if (members()[i].running && members()[i].worker == (int)worker.index) who.push_back(i);
      LintFinding& finding = found(fmt::format("worker {} has work and makes no switch", worker.index), std::move(who));
      finding.figures.push_back({"worker", (double)worker.index, Unit::number});
      finding.figures.push_back({"without-a-switch-for", (double)input_.interval, Unit::nanoseconds});
      finding.thresholds.push_back({"without-a-switch-for", (double)thresholds_.starvation, Unit::nanoseconds});
    }
  }

  void full_stacks() {
    for (uint32_t i = 0; i < members().size(); i++) {
      const LintMember& member = members()[i];
      if (member.id == 0 || member.stack_size == 0) continue;
      const uint64_t most = std::max(member.stack_used, member.stack_reached);
      const double percent = 100.0 * (double)most / (double)member.stack_size;
      if (percent <= thresholds_.stack_percent) continue;
      const char* verb = member.stack_used == most ? "uses" : "has used";
      LintFinding& finding = found(fmt::format("coroutine {} {} {:.0f} % of its stack", member.id, verb, percent), {i});
      finding.figures.push_back({"used", (double)most, Unit::bytes});
      finding.figures.push_back({"used-now", (double)member.stack_used, Unit::bytes});
      finding.figures.push_back({"size", (double)member.stack_size, Unit::bytes});
      finding.figures.push_back({"part", percent, Unit::percent});
      finding.thresholds.push_back({"part", (double)thresholds_.stack_percent, Unit::percent});
    }
  }

  // A program that joins its threads in order has many that have ended too, but then somebody is in a join.
  void never_joined() {
    std::map<uint64_t, std::vector<uint32_t>> sites;
    for (uint32_t i = 0; i < members().size(); i++) {
      const LintMember& member = members()[i];
      if (member.joining) return;
      if (member.state == State::finished && !member.detached && member.still && member.age >= thresholds_.unjoined_age)
        sites[member.site].push_back(i);
    }
    for (auto& [site, who] : sites) {
      if (who.size() < thresholds_.unjoined) continue;
      const size_t count = who.size();
      LintFinding& finding =
          found(fmt::format("{} coroutines have ended and nobody joins them", count), std::move(who));
      finding.figures.push_back({"ended", (double)count, Unit::count});
      finding.thresholds.push_back({"ended", (double)thresholds_.unjoined, Unit::count});
      finding.thresholds.push_back({"age", (double)thresholds_.unjoined_age, Unit::nanoseconds});
    }
  }

  void piled_up() {
    std::map<uint64_t, std::vector<uint32_t>> sites;
    for (uint32_t i = 0; i < members().size(); i++)
      if (members()[i].id != 0 && members()[i].still && waits_for_others(members()[i]) &&
          members()[i].state == State::parked && members()[i].waited >= thresholds_.piled_up_age)
        sites[members()[i].site].push_back(i);
    for (auto& [site, who] : sites) {
      const auto made = std::count(input_.made_between.begin(), input_.made_between.end(), site);
      const auto ended = std::count(input_.ended_between.begin(), input_.ended_between.end(), site);
      if (who.size() < thresholds_.piled_up || made == 0 || ended != 0) continue;
      const size_t count = who.size();
      LintFinding& finding =
          found(fmt::format("{} coroutines of one place wait, and more are made", count), std::move(who));
      finding.figures.push_back({"waiting", (double)count, Unit::count});
      finding.figures.push_back({"made-meanwhile", (double)made, Unit::count});
      add_interval(finding);
      finding.thresholds.push_back({"waiting", (double)thresholds_.piled_up, Unit::count});
      finding.thresholds.push_back({"waited", (double)thresholds_.piled_up_age, Unit::nanoseconds});
    }
  }

  void closed_descriptors() {
    for (uint32_t i = 0; i < members().size(); i++) {
      const LintMember& member = members()[i];
      if (!member.still || member.state != State::parked || member.closed_fds.empty()) continue;
      for (int fd : member.closed_fds) {
        LintFinding& finding =
            found(fmt::format("coroutine {} waits for descriptor {}, which is closed", member.id, fd), {i});
        finding.figures.push_back({"fd", (double)fd, Unit::number});
        if (member.waited != 0) finding.figures.push_back({"waited", (double)member.waited, Unit::nanoseconds});
        add_interval(finding);
      }
    }
  }

  void overloaded_mailboxes() {
    for (const LintMailbox& mailbox : input_.full_mailboxes) {
      if (mailbox.full_for < thresholds_.mailbox_full) continue;
      const std::string which = mailbox.name.empty() ? fmt::format("{:#x}", mailbox.address) : mailbox.name;
      LintFinding& finding = found(fmt::format("the mailbox {} is full and stays full", which), mailbox.senders);
      finding.figures.push_back({"full-for", (double)mailbox.full_for, Unit::nanoseconds});
      finding.figures.push_back({"messages", (double)mailbox.messages, Unit::count});
      finding.figures.push_back({"received", (double)mailbox.received, Unit::count});
      finding.figures.push_back({"senders-waiting", (double)mailbox.senders.size(), Unit::count});
      finding.thresholds.push_back({"full-for", (double)thresholds_.mailbox_full, Unit::nanoseconds});
    }
  }

  const LintInput& input_;
  const LintThresholds& thresholds_;
  LintResult result_;
  bool in_circles_ = false;
};

}  // namespace

bool all_coroutines_wait(const LintInput& input) {
  return std::all_of(input.members.begin(), input.members.end(), [](const LintMember& member) {
    return member.id == 0 || (member.still && waits_for_others(member));
  });
}

LintResult apply_rules(const LintInput& input, const LintThresholds& thresholds) {
  return Rules(input, thresholds).run();
}

}  // namespace weft::inspect
