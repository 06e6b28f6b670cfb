// SPDX-License-Identifier: Apache-2.0
// The rules of `weft lint` on data made up: what each fires on, and what resembles it and is healthy.
#include "tools/inspect/lint_rules.h"

#include <gtest/gtest.h>

namespace weft::inspect {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

LintMember coroutine(uint32_t id, State state, WaitKind wait = WaitKind::none) {
  LintMember member;
  member.id = id;
  member.tid = 1'000'000 + (int)id;
  member.state = state;
  member.wait = wait;
  member.object = 0x1000 + 0x40 * id;
  member.still = true;
  member.stack_size = 100 << 10;
  member.stack_used = 10 << 10;
  member.site = 0x5000;
  return member;
}

LintMember joining_main() {
  LintMember member;
  member.tid = 7;
  member.still = member.waits_for_thread = member.joining = true;
  return member;
}

LintInput two_looks(std::vector<LintMember> members) {
  LintInput input;
  input.members = std::move(members);
  input.workers = {{0, 5000, true}};
  input.interval = kSecond;
  input.threads_known = input.fds_known = true;
  return input;
}

// Names of the rules that fired.
std::vector<std::string> rules_of(const LintInput& input, const LintThresholds& thresholds = {}) {
  std::vector<std::string> names;
  for (const LintFinding& finding : apply_rules(input, thresholds).findings) names.push_back(finding.rule);
  return names;
}
using Names = std::vector<std::string>;

std::string left_out(const LintInput& input, const std::string& name) {
  for (const LintResult::Rule& rule : apply_rules(input, {}).rules)
    if (rule.name == name) return rule.left_out;
  return "no such rule";
}

LintInput two_in_a_circle() {
  std::vector<LintMember> members = {coroutine(1, State::parked, WaitKind::lock),
                                     coroutine(2, State::parked, WaitKind::lock), joining_main()};
  members[0].holder = 1;
  members[1].holder = 0;
  return two_looks(members);
}

TEST(Deadlock, OfTwoLocksIsNamedWithItsCircle) {
  const LintResult result = apply_rules(two_in_a_circle(), {});
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].rule, "deadlock");
  EXPECT_EQ(result.findings[0].members, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(result.findings[0].text, "2 coroutines wait for each other: 1 -> 2 -> 1");
}

TEST(Deadlock, ThroughALockAndAJoin) {
  LintInput input = two_in_a_circle();
  input.members[1].holder.reset();
  input.members[1].wait = WaitKind::join;
  input.members[1].joins = 0;
  EXPECT_EQ(rules_of(input), Names{"deadlock"});
}

TEST(Deadlock, OnOneself) {
  LintInput input = two_looks({coroutine(1, State::parked, WaitKind::lock)});
  input.members[0].holder = 0;
  const LintResult result = apply_rules(input, {});
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].text, "coroutine 1 waits for itself");
}

TEST(Deadlock, EachOfTwoCirclesOnceWithoutThoseWhoOnlyLeadThere) {
  std::vector<LintMember> members;
  for (uint32_t id = 1; id <= 6; id++) members.push_back(coroutine(id, State::parked, WaitKind::lock));
  members[0].holder = 1;  // leads to 2 -> 3 -> 2
  members[1].holder = 2;
  members[2].holder = 1;
  members[3].holder = 4;  // 4 -> 5 -> 4
  members[4].holder = 3;
  members[5].holder = 0;
  const LintResult result = apply_rules(two_looks(members), {});
  ASSERT_EQ(result.findings.size(), 2u);
  EXPECT_EQ(result.findings[0].members, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(result.findings[1].members, (std::vector<uint32_t>{3, 4}));
}

TEST(Deadlock, NotWhereOneOfThemRanBetweenTheLooks) {
  LintInput input = two_in_a_circle();
  input.members[1].still = false;
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(Deadlock, NotWhereOneWaitEndsByItself) {
  LintInput input = two_in_a_circle();
  input.members[1].has_deadline = true;
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(Deadlock, NotInAChain) {
  LintInput input = two_in_a_circle();
  input.members[1].holder = 2;
  EXPECT_EQ(rules_of(input), Names{});
}

LintInput idle_pool() { return two_looks({coroutine(1, State::parked, WaitKind::condition), joining_main()}); }

TEST(LostSignal, WhereEveryThreadWaitsForAnother) { EXPECT_EQ(rules_of(idle_pool()), Names{"lost-signal"}); }

TEST(LostSignal, OfAKernelThread) {
  LintInput input = two_looks({joining_main()});
  input.members[0].wait = WaitKind::condition;
  EXPECT_EQ(rules_of(input), Names{"lost-signal"});
}

TEST(LostSignal, NotWhereSomebodyMayComeBackByItself) {
  const std::pair<State, WaitKind> healthy[] = {
      {State::parked, WaitKind::fd_read},   {State::parked, WaitKind::poll},  {State::parked, WaitKind::sleep},
      {State::parked, WaitKind::semaphore}, {State::parked, WaitKind::futex}, {State::parked, WaitKind::signal},
      {State::parked, WaitKind::file},      {State::ready, WaitKind::none},   {State::running, WaitKind::none},
      {State::blocked, WaitKind::region},
  };
  for (const auto& [state, wait] : healthy) {
    LintInput input = idle_pool();
    input.members.push_back(coroutine(2, state, wait));
    input.members.back().still = state == State::parked;
    EXPECT_EQ(rules_of(input), Names{}) << (int)state << ' ' << (int)wait;
  }
  LintInput input = idle_pool();
  input.members[1].waits_for_thread = false;
  EXPECT_EQ(rules_of(input), Names{});
  input = idle_pool();
  input.members[0].has_deadline = true;
  EXPECT_EQ(rules_of(input), Names{});
  input = idle_pool();
  input.threads_known = false;
  EXPECT_EQ(rules_of(input), Names{});
  EXPECT_EQ(left_out(input, "lost-signal"), "threads are not known");
}

TEST(LostSignal, NotBehindADeadlock) {
  LintInput input = two_in_a_circle();
  input.members.push_back(coroutine(3, State::parked, WaitKind::condition));
  EXPECT_EQ(rules_of(input), Names{"deadlock"});
}

TEST(OrphanedLock, IsNamed) {
  LintInput input = two_looks({coroutine(1, State::parked, WaitKind::lock), joining_main()});
  input.members[0].orphan_of = 4711;
  EXPECT_EQ(rules_of(input), Names{"orphaned-lock"});
}

TEST(Starvation, OfAReadyOneThatNobodySwitchesTo) {
  LintInput input = two_looks({coroutine(1, State::ready)});
  EXPECT_EQ(rules_of(input), Names{"starvation"});
  input.suspended = true;
  EXPECT_EQ(rules_of(input), Names{});
  EXPECT_EQ(left_out(input, "starvation"), "the process is stopped");
  input.suspended = false;
  input.members[0].still = false;
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(NeverYielded, OnlyWhereOthersAreKeptWaiting) {
  LintInput input = two_looks({coroutine(1, State::running)});
  input.members[0].still = false;
  input.members[0].running = true;
  EXPECT_EQ(rules_of(input), Names{});
  input.members.push_back(coroutine(2, State::ready));
  EXPECT_EQ(rules_of(input), (Names{"starvation", "never-yielded"}));
  input.workers[0].switches = 0;
  EXPECT_EQ(rules_of(input), (Names{"never-yielded", "worker-stalled"}));
}

TEST(OneLook, LeavesOutWhatItDoesNotShow) {
  LintInput input = two_looks({coroutine(1, State::ready)});
  input.interval = 0;
  EXPECT_EQ(rules_of(input), Names{});
  EXPECT_EQ(left_out(input, "starvation"), "one look does not show it");
  EXPECT_EQ(left_out(input, "deadlock"), "");
}

TEST(Stack, AboveTheThreshold) {
  LintInput input = two_looks({coroutine(1, State::parked, WaitKind::fd_read)});
  input.members[0].stack_used = 80 << 10;
  EXPECT_EQ(rules_of(input), Names{});
  input.members[0].stack_used = 81 << 10;
  const LintResult result = apply_rules(input, {});
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].thresholds[0].value, 80);
}

LintInput ended(size_t count) {
  std::vector<LintMember> members;
  for (uint32_t id = 1; id <= count; id++) {
    members.push_back(coroutine(id, State::finished));
    members.back().age = 100 * kSecond;
  }
  members.push_back(coroutine((uint32_t)count + 1, State::parked, WaitKind::fd_read));
  return two_looks(members);
}

TEST(NeverJoined, WhereManyHaveEnded) {
  EXPECT_EQ(rules_of(ended(100)), Names{"never-joined"});
  EXPECT_EQ(rules_of(ended(99)), Names{});
  LintInput input = ended(100);
  input.members[3].detached = true;
  EXPECT_EQ(rules_of(input), Names{});
  input = ended(100);
  input.members[3].age = 1;
  EXPECT_EQ(rules_of(input), Names{});
  input = ended(100);
  input.members.push_back(joining_main());
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(PiledUp, WhereMoreComeAndNoneGoes) {
  std::vector<LintMember> members;
  for (uint32_t id = 1; id <= 1000; id++) {
    members.push_back(coroutine(id, State::parked, WaitKind::condition));
    members.back().waited = 61 * kSecond;
  }
  members.push_back(coroutine(2000, State::parked, WaitKind::sleep));
  LintInput input = two_looks(members);
  EXPECT_EQ(rules_of(input), Names{});
  input.made_between = {0x5000};
  EXPECT_EQ(rules_of(input), Names{"piled-up"});
  input.ended_between = {0x5000};
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(ClosedDescriptor, WhileItIsWaitedFor) {
  LintInput input = two_looks({coroutine(1, State::parked, WaitKind::fd_read)});
  input.members[0].closed_fds = {9};
  EXPECT_EQ(rules_of(input), Names{"closed-fd"});
  input.fds_known = false;
  EXPECT_EQ(rules_of(input), Names{});
}

TEST(OverloadedMailbox, FromTheThresholdOn) {
  LintInput input = two_looks({coroutine(1, State::parked, WaitKind::mailbox_send), coroutine(2, State::ready)});
  input.members[1].still = false;
  input.full_mailboxes = {{"adder", 0x9000, 64, 5, 10 * kSecond - 1, {0}}};
  EXPECT_EQ(rules_of(input), Names{});
  input.full_mailboxes[0].full_for = 10 * kSecond;
  ASSERT_EQ(rules_of(input), Names{"overloaded-mailbox"});
  const LintFinding finding = apply_rules(input, {}).findings[0];
  EXPECT_EQ(finding.members, std::vector<uint32_t>{0});
  EXPECT_NE(finding.text.find("adder"), std::string::npos);
  LintThresholds thresholds;
  thresholds.mailbox_full = 11 * kSecond;
  EXPECT_EQ(rules_of(input, thresholds), Names{});
}

TEST(LostSignal, WhereTheOthersWaitForEachOtherByTheApi) {
  std::vector<LintMember> members = {joining_main(), coroutine(1, State::parked, WaitKind::condition)};
  uint32_t id = 2;
  for (WaitKind wait : {WaitKind::suspend, WaitKind::co_lock, WaitKind::co_rwlock_read, WaitKind::co_rwlock_write,
                        WaitKind::group, WaitKind::scope, WaitKind::channel_send, WaitKind::channel_receive,
                        WaitKind::mailbox_send, WaitKind::mailbox_receive})
    members.push_back(coroutine(id++, State::parked, wait));
  EXPECT_EQ(rules_of(two_looks(members)), Names{"lost-signal"});
  // A descriptor may be among what a select waits for.
  members.push_back(coroutine(id++, State::parked, WaitKind::select));
  EXPECT_EQ(rules_of(two_looks(members)), Names{});
}

}  // namespace
}  // namespace weft::inspect
