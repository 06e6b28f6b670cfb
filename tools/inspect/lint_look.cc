// SPDX-License-Identifier: Apache-2.0
// From looks to the rules' data. What a thread that is no coroutine waits for is known by the call that it is in.
#include "lint_look.h"

#include <dirent.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "called_function.h"
#include "stack_use.h"
#include "wait_object.h"

namespace weft::inspect {

// What a look leaves behind for the next one.
struct LintWatch::Earlier {
  struct Slot {
    uint32_t sequence;
    State state;
    int owner_tid;
    bool owner_lives;
    uint64_t site;
  };
  struct Registers {
    uint64_t pc, sp;
  };
  std::unordered_map<uint32_t, Slot> slots;  // by ids
  std::unordered_map<int, Registers> threads;
  std::unordered_map<unsigned, Worker> workers;
  std::unordered_map<uint64_t, uint64_t> full_mailboxes;  // by addresses: since when
  std::set<int> tids, fds;
  bool fds_known = false;
  uint64_t clock = 0;
  bool is_there = false;
};

namespace {

constexpr char kRuntimeThread[] = "weft-";  // begins the names of the runtime's own threads

bool open_descriptors(Target& target, std::set<int>* fds) {
  if (target.kind() != Target::Kind::process) return false;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(fmt::format("/proc/{}/fd", target.pid()).c_str()),
                                                      closedir);
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory.get()))
    if (entry->d_name[0] != '.') fds->insert(atoi(entry->d_name));
  return true;
}

bool waits_for_lock(const Coroutine& coroutine) {
  return coroutine.state == State::parked &&
         (coroutine.wait_kind == WaitKind::lock || coroutine.wait_kind == WaitKind::rwlock_read ||
          coroutine.wait_kind == WaitKind::rwlock_write || coroutine.wait_kind == WaitKind::co_lock);
}

// Where the program's call returns to: the frame behind those that are the runtime's or the C library's. Null: there is none, or not all of
// the stack is there.
const Frame* calling_frame(Look& look, const Trace& trace) {
  if (trace.ending != Ending::complete) return nullptr;
  for (const Frame& frame : trace.frames) {
    const Module* module = look.target().module_at(frame.pc);
    if (module == nullptr) return nullptr;
    if (!look.runtime().is_own(frame.pc) && !module->name().starts_with("libc.so"))
      return frame.exact ? nullptr : &frame;
  }
  return nullptr;
}

// Its first function is the runtime's: names of threads are not in a core.
bool is_runtime_thread(const Look& look, const Trace& trace) {
  constexpr size_t kMostOfLibc = 2;  // clone and start_thread
  for (size_t i = 0; i < trace.frames.size() && i <= kMostOfLibc; i++)
    if (look.runtime().is_own(trace.frames[trace.frames.size() - 1 - i].pc)) return trace.ending == Ending::complete;
  return false;
}

// Calls that end only by what another thread of the process does. A condition variable or a lock in memory shared with other processes is
// waited for in the C library, all others in the runtime; a thread's end always by a thread of this process.
struct Call {
  const char* name;
  WaitKind wait;
  bool always;
};
constexpr Call kCalls[] = {{"pthread_join", WaitKind::none, true},
                           {"thrd_join", WaitKind::none, true},
                           {"pthread_cond_wait", WaitKind::condition, false},
                           {"cnd_wait", WaitKind::condition, false},
                           {"pthread_mutex_lock", WaitKind::none, false},
                           {"mtx_lock", WaitKind::none, false},
                           {"pthread_rwlock_rdlock", WaitKind::none, false},
                           {"pthread_rwlock_wrlock", WaitKind::none, false},
                           {"pthread_barrier_wait", WaitKind::none, false},
                           {"pthread_once", WaitKind::none, false},
                           {"co_join", WaitKind::none, true},
                           {"co_cond_wait", WaitKind::condition, false},
                           {"co_mutex_lock", WaitKind::none, false},
                           {"co_rwlock_rdlock", WaitKind::none, false},
                           {"co_rwlock_wrlock", WaitKind::none, false},
                           {"co_once", WaitKind::none, false},
                           {"co_wait_group_wait", WaitKind::none, false},
                           {"co_scope_wait", WaitKind::none, false},
                           {"co_chan_send", WaitKind::none, false},
                           {"co_chan_recv", WaitKind::none, false},
                           {"co_mailbox_send", WaitKind::none, false},
                           {"co_mailbox_recv", WaitKind::none, false}};

void describe_thread(Look& look, uint32_t index, LintMember* member) {
  const StackCopy& copy = look.stacks().copies[index];
  member->tid = copy.thread;
  member->state = State::blocked;
  const Group* group = look.group_of(index);
  const Frame* frame = group == nullptr ? nullptr : calling_frame(look, group->trace);
  if (frame == nullptr) return;
  const std::string name = called_function(look, frame->pc);
  const bool in_runtime = look.runtime().is_own(group->trace.frames.front().pc);
  for (const Call& call : kCalls) {
    if (name.substr(0, name.find('@')) != call.name) continue;
    member->joining = call.always;
    member->waits_for_thread = call.always || in_runtime;
    member->wait = call.wait;
  }
}

void describe_coroutine(Look& look, uint32_t index, LintMember* member) {
  const StackCopy& copy = look.stacks().copies[index];
  const Coroutine& c = copy.coroutine;
  member->id = c.id;
  member->tid = c.tid;
  member->state = c.state;
  member->wait = c.wait_kind;
  member->object = c.wait_object;
  member->has_deadline = c.deadline.has_value();
  if (c.state == State::parked && c.since && look.clock() > *c.since) member->waited = look.clock() - *c.since;
  if (look.clock() > c.born) member->age = look.clock() - c.born;
  member->stack_size = c.stack_size;
  member->stack_used = stack_used(copy).value_or(0);
  member->stack_reached = stack_reached(look, copy).value_or(0);
  member->site = c.creation_pc;
  member->detached = c.detached;
  member->joining = c.state == State::parked && c.wait_kind == WaitKind::join;
  member->worker = c.worker_index;
}

}  // namespace

LintWatch::LintWatch(Look& look) : look_(look), earlier_(std::make_unique<Earlier>()) {}
LintWatch::~LintWatch() = default;

void LintWatch::remember() {
  Earlier now;
  now.is_there = true;
  for (const Thread& thread : look_.target().threads()) now.tids.insert(thread.tid);
  now.fds_known = open_descriptors(look_.target(), &now.fds);
  now.clock = look_.clock();
  for (uint32_t i = 0; i < look_.stacks().copies.size(); i++) {
    const StackCopy& copy = look_.stacks().copies[i];
    const Coroutine& c = copy.coroutine;
    if (c.id == 0) {
      if (copy.in_system_call) now.threads[copy.thread] = {copy.registers.pc(), copy.registers.sp()};
      continue;
    }
    const WaitedFor waited = waits_for_lock(c) ? waited_for(look_, i) : WaitedFor{};
    const bool lives = waited.owner.has_value() || now.tids.count(waited.owner_tid) != 0;
    now.slots[c.id] = {c.sequence, c.state, waited.owner_tid, lives, c.creation_pc};
  }
  for (const Worker& worker : look_.runtime().workers()) now.workers[worker.index] = worker;
  for (const Mailbox& mailbox : look_.runtime().mailboxes())
    if (mailbox.full_since) now.full_mailboxes[mailbox.address] = *mailbox.full_since;
  *earlier_ = std::move(now);
}

LintLook LintWatch::next(Stop stop) {
  const bool live = look_.target().kind() == Target::Kind::process;
  const Earlier& earlier = *earlier_;
  LintLook result;
  LintInput& input = result.input;
  look_.take({.stop = stop, .stacks = true, .threads = true});
  const std::vector<StackCopy>& copies = look_.stacks().copies;
  if (earlier.is_there) input.interval = look_.clock() - earlier.clock;

  std::set<int> fds;
  input.fds_known = open_descriptors(look_.target(), &fds) && earlier.fds_known;
  const std::vector<Thread> threads = look_.target().threads();
  input.threads_known = look_.target().kind() != Target::Kind::snapshot && !threads.empty();
  std::unordered_map<int, std::string> thread_name;
  for (const Thread& thread : threads) {
    thread_name[thread.tid] = thread.name;
    if (thread.state == 'T' || thread.state == 't') input.suspended = true;
  }

  std::vector<uint32_t> guests;
  for (uint32_t i = 0; i < copies.size(); i++)
    if (copies[i].coroutine.id == 0) guests.push_back(i);
  if (!guests.empty()) look_.unwind(guests);

  std::unordered_map<uint32_t, uint32_t> by_id;
  std::unordered_map<int, uint32_t> by_tid;
  for (uint32_t i = 0; i < copies.size(); i++) {
    const StackCopy& copy = copies[i];
    const Coroutine& c = copy.coroutine;
    LintMember member;
    if (c.id == 0) {
      const Group* group = look_.group_of(i);
      const std::string& name = thread_name[copy.thread];
      if (name.starts_with(kRuntimeThread) ||
          (name.empty() && group != nullptr && is_runtime_thread(look_, group->trace)))
        continue;
      describe_thread(look_, i, &member);
      const auto before = earlier.threads.find(copy.thread);
      const bool same = before != earlier.threads.end() && before->second.pc == copy.registers.pc() &&
                        before->second.sp == copy.registers.sp();
      member.still = !live || same;
    } else {
      describe_coroutine(look_, i, &member);
      const auto before = earlier.slots.find(c.id);
      const bool same =
          before != earlier.slots.end() && before->second.sequence == c.sequence && before->second.state == c.state;
      member.still = !c.runs() && (!live || same);
      member.running = live && same && c.runs() && c.state == State::running;
      by_id[member.id] = (uint32_t)input.members.size();
    }
    by_tid[member.tid] = (uint32_t)input.members.size();
    input.members.push_back(std::move(member));
    result.copy.push_back(i);
  }

  for (uint32_t i = 0; i < input.members.size(); i++) {
    LintMember& member = input.members[i];
    if (member.id == 0 || !member.still || member.state != State::parked) continue;
    const Coroutine& c = copies[result.copy[i]].coroutine;
    if (waits_for_lock(c) || c.wait_kind == WaitKind::join) {
      const WaitedFor waited = waited_for(look_, result.copy[i]);
      if (waited.target && by_id.count(*waited.target) != 0) member.joins = by_id[*waited.target];
      if (waited.owner_tid != 0 && by_tid.count(waited.owner_tid) != 0) {
        member.holder = by_tid[waited.owner_tid];
      } else if (waited.owner_tid != 0 && thread_name.count(waited.owner_tid) == 0) {
        const auto before = earlier.slots.find(c.id);
        const bool as_before = before != earlier.slots.end() && before->second.owner_tid == waited.owner_tid &&
                               !before->second.owner_lives;
        if (!live || as_before) member.orphan_of = waited.owner_tid;
      }
    }
    if (!input.fds_known || c.pinned) continue;
    std::vector<int> waited_fds = c.wait_fds;
    if (c.wait_kind == WaitKind::fd_read || c.wait_kind == WaitKind::fd_write) waited_fds = {c.wait_fd};
    for (int fd : waited_fds)
      if (fd >= 0 && earlier.fds.count(fd) == 0 && fds.count(fd) == 0) member.closed_fds.push_back(fd);
  }

  for (const Worker& worker : look_.runtime().workers()) {
    const auto before = earlier.workers.find(worker.index);
    if (before == earlier.workers.end()) continue;
    const bool busy = !worker.sleeping && worker.length > 0 && !before->second.sleeping && before->second.length > 0;
    input.workers.push_back({worker.index, worker.switches - before->second.switches, busy});
  }
  for (const Mailbox& mailbox : look_.runtime().mailboxes()) {
    if (!mailbox.full_since || look_.clock() <= *mailbox.full_since) continue;
    const auto before = earlier.full_mailboxes.find(mailbox.address);
    if (live && (before == earlier.full_mailboxes.end() || before->second != *mailbox.full_since)) continue;
    LintMailbox full = {
        mailbox.name, mailbox.address, mailbox.capacity, mailbox.received, look_.clock() - *mailbox.full_since, {}};
    for (uint32_t i = 0; i < input.members.size(); i++)
      if (input.members[i].wait == WaitKind::mailbox_send && input.members[i].object == mailbox.address &&
          input.members[i].state == State::parked)
        full.senders.push_back(i);
    input.full_mailboxes.push_back(std::move(full));
  }
  if (earlier.is_there) {
    for (const LintMember& member : input.members)
      if (member.id != 0 && earlier.slots.count(member.id) == 0) input.made_between.push_back(member.site);
    for (const auto& [id, slot] : earlier.slots)
      if (by_id.count(id) == 0) input.ended_between.push_back(slot.site);
  }
  return result;
}

}  // namespace weft::inspect
